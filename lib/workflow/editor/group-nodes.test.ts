import { expect, test } from '@jest/globals';
import { editorClassTypes } from './from-editor.ts';
import { convert, file, image, save, slot, type Fields } from './test-editor.ts';

/** Makes an image and inverts it; the output is the inverted image. */
const pair = {
  nodes: [
    {
      type: 'EmptyImage',
      index: 0,
      widgets_values: [64, 32, 1, 255],
      inputs: [],
      outputs: [{ type: 'IMAGE' }],
    },
    {
      type: 'ImageInvert',
      index: 1,
      inputs: [slot('image', 'IMAGE')],
      outputs: [{ type: 'IMAGE' }],
    },
  ],
  links: [[0, 0, 1, 0, 1, 'IMAGE']],
  external: [[1, 0, 'IMAGE']],
};
/** Inverts two images, one after the other given by the group node's inputs. */
const twoInputs = { nodes: [pair.nodes[1], pair.nodes[1]], links: [], external: [] };
const groupNode = (type: string, more: Fields = {}) => ({
  id: 3,
  type,
  mode: 0,
  inputs: [],
  outputs: [{ type: 'IMAGE' }],
  ...more,
});
const withGroups = (groupNodes: Fields) => ({ extra: { groupNodes } });

test.each(['workflow/pair', 'workflow>pair'])('the group node %s is expanded', (type) => {
  const nodes = [groupNode(type, { widgets_values: [8, 16, 2, 7] }), save(2, 1)];
  const converted = convert(nodes, [[1, 3, 0, 2, 0, 'IMAGE']], withGroups({ pair }));
  expect(Object.keys(converted).sort()).toEqual(['2', '3:0', '3:1']);
  expect(converted['3:0']?.inputs).toEqual({ width: 8, height: 16, batch_size: 2, color: 7 });
  expect(converted['3:1']?.inputs).toEqual({ image: ['3:0', 0] });
  expect(converted['2']?.inputs.images).toEqual(['3:1', 0]);
});

test('a group node without values of its own has those of its definition', () => {
  const converted = convert([groupNode('workflow>pair')], [], withGroups({ pair }));
  expect(converted['3:0']?.inputs.width).toBe(64);
});

test('the inputs and outputs of a group node lead to its nodes in their order', () => {
  const nodes = [
    image(1),
    image(2),
    groupNode('workflow>two', {
      inputs: [slot('image', 'IMAGE', 1), slot('ImageInvert image', 'IMAGE', 2)],
      outputs: [{ type: 'IMAGE' }, { type: 'IMAGE' }],
    }),
    save(5, 3),
  ];
  const links = [
    [1, 1, 0, 3, 0, 'IMAGE'],
    [2, 2, 0, 3, 1, 'IMAGE'],
    [3, 3, 1, 5, 0, 'IMAGE'],
  ];
  const converted = convert(nodes, links, withGroups({ two: twoInputs }));
  expect(converted['3:0']?.inputs.image).toEqual(['1', 0]);
  expect(converted['3:1']?.inputs.image).toEqual(['2', 0]);
  expect(converted['5']?.inputs.images).toEqual(['3:1', 0]);
});

test('a group node whose values do not match its nodes is refused', () => {
  const nodes = [groupNode('workflow>pair', { widgets_values: [8, 16] })];
  expect(() => convert(nodes, [], withGroups({ pair }))).toThrow(
    /Node 3: it has 2 values, but the nodes of the group node "pair" have 4/,
  );
});

test('a group node within itself is refused', () => {
  const loop = { nodes: [{ type: 'workflow>loop', index: 0 }], links: [] };
  expect(() => convert([groupNode('workflow>loop')], [], withGroups({ loop }))).toThrow(
    /Group node loop is within itself/,
  );
});

test('the classes to describe include those inside group nodes', () => {
  const types = editorClassTypes(file([groupNode('workflow>pair')], [], withGroups({ pair })));
  expect(types).toEqual(['EmptyImage', 'ImageInvert']);
});
