import { expect } from '@jest/globals';
import { openLiveComfy } from '../rigs/live-rig.ts';

/** Files of the editor, converted by what any ComfyUI says of its classes. */

const live = await openLiveComfy();

/** A reroute, a primitive node, a bypassed node, a muted one and a note; the seed has a control widget behind it. */
const FILE = {
  nodes: [
    {
      id: 1,
      type: 'EmptyImage',
      inputs: [{ name: 'color', type: 'INT', link: 5, widget: { name: 'color' } }],
      outputs: [{ name: 'IMAGE', type: 'IMAGE', links: [1] }],
      widgets_values: [64, 48, 1, 0],
    },
    {
      id: 2,
      type: 'Reroute',
      inputs: [{ name: '', type: '*', link: 1 }],
      outputs: [{ name: '', type: 'IMAGE', links: [2] }],
    },
    {
      id: 3,
      type: 'ImageInvert',
      mode: 4,
      inputs: [{ name: 'image', type: 'IMAGE', link: 2 }],
      outputs: [{ name: 'IMAGE', type: 'IMAGE', links: [3] }],
    },
    {
      id: 4,
      type: 'ImageScale',
      inputs: [{ name: 'image', type: 'IMAGE', link: 3 }],
      outputs: [{ name: 'IMAGE', type: 'IMAGE', links: [4, 6] }],
      widgets_values: ['nearest-exact', 32, 16, 'disabled'],
    },
    {
      id: 5,
      type: 'SaveImage',
      inputs: [{ name: 'images', type: 'IMAGE', link: 4 }],
      widgets_values: ['edited'],
    },
    {
      id: 6,
      type: 'PrimitiveNode',
      outputs: [{ name: 'INT', type: 'INT', links: [5], widget: { name: 'color' } }],
      widgets_values: [0x336699, 'randomize'],
    },
    {
      id: 7,
      type: 'SaveImage',
      mode: 2,
      inputs: [{ name: 'images', type: 'IMAGE', link: 6 }],
      widgets_values: ['muted'],
    },
    { id: 8, type: 'Note', widgets_values: ['a note'] },
  ],
  links: [
    [1, 1, 0, 2, 0, 'IMAGE'],
    [2, 2, 0, 3, 0, 'IMAGE'],
    [3, 3, 0, 4, 0, 'IMAGE'],
    [4, 4, 0, 5, 0, 'IMAGE'],
    [5, 6, 0, 1, 0, 'INT'],
    [6, 4, 0, 7, 0, 'IMAGE'],
  ],
  version: 0.4,
};

live.test(
  'a file of the editor runs, and ComfyUI gets the values and links the editor shows',
  async () => {
    await using rig = await live.startRig();
    const { output, error } = await rig.run({ workflow: FILE });
    expect(error).toBeUndefined();
    expect(output?.images).toMatchObject([{ filename: expect.stringMatching(/^edited_/) }]);
    const { prompt } = await rig.ended(0);
    const nodes = Object.entries(prompt[2]).map(([id, node]) => [id, node.inputs] as const);
    expect(Object.fromEntries(nodes)).toEqual({
      '1': { width: 64, height: 48, batch_size: 1, color: expect.any(Number) },
      '4': {
        ...{ image: ['1', 0], upscale_method: 'nearest-exact', width: 32, height: 16 },
        crop: 'disabled',
      },
      '5': { images: ['4', 0], filename_prefix: expect.stringMatching(/edited$/) },
    });
  },
);

/** A subgraph that scales, with its width promoted to the node that stands for it. */
const SUBGRAPH = {
  nodes: [
    {
      id: 1,
      type: 'EmptyImage',
      outputs: [{ name: 'IMAGE', type: 'IMAGE', links: [1] }],
      widgets_values: [64, 48, 1, 0],
    },
    {
      id: 2,
      type: '6f1c1c0e-0000-4000-8000-000000000001',
      inputs: [
        { name: 'image', type: 'IMAGE', link: 1 },
        { name: 'width', type: 'INT', widget: { name: 'width' }, link: null },
      ],
      outputs: [{ name: 'IMAGE', type: 'IMAGE', links: [2] }],
      widgets_values: [24],
    },
    {
      id: 3,
      type: 'SaveImage',
      inputs: [{ name: 'images', type: 'IMAGE', link: 2 }],
      widgets_values: ['inner'],
    },
  ],
  links: [
    [1, 1, 0, 2, 0, 'IMAGE'],
    [2, 2, 0, 3, 0, 'IMAGE'],
  ],
  definitions: {
    subgraphs: [
      {
        id: '6f1c1c0e-0000-4000-8000-000000000001',
        name: 'Scale',
        inputNode: { id: -10 },
        outputNode: { id: -20 },
        inputs: [
          { id: 'a', name: 'image', type: 'IMAGE', linkIds: [1] },
          { id: 'b', name: 'width', type: 'INT', linkIds: [3] },
        ],
        outputs: [{ id: 'c', name: 'IMAGE', type: 'IMAGE', linkIds: [2] }],
        nodes: [
          {
            id: 1,
            type: 'ImageScale',
            inputs: [
              { name: 'image', type: 'IMAGE', link: 1 },
              { name: 'width', type: 'INT', widget: { name: 'width' }, link: 3 },
            ],
            outputs: [{ name: 'IMAGE', type: 'IMAGE', links: [2] }],
            widgets_values: ['area', 999, 16, 'disabled'],
          },
        ],
        links: [
          { id: 1, origin_id: -10, origin_slot: 0, target_id: 1, target_slot: 0, type: 'IMAGE' },
          { id: 2, origin_id: 1, origin_slot: 0, target_id: -20, target_slot: 0, type: 'IMAGE' },
          { id: 3, origin_id: -10, origin_slot: 1, target_id: 1, target_slot: 1, type: 'INT' },
        ],
      },
    ],
  },
  version: 0.4,
};

live.test('a subgraph runs with the values of the node that stands for it', async () => {
  await using rig = await live.startRig();
  const { output, error } = await rig.run({ workflow: SUBGRAPH, output: { details: true } });
  expect(error).toBeUndefined();
  expect(output?.images).toMatchObject([{ width: 24, height: 16 }]);
});
