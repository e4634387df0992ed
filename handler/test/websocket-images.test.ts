import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import { pictures, sampling, startRig, type Posted } from './rigs/test-rig.ts';

/** `SaveImageWebsocket` sends its images as frames of the websocket. ComfyUI keeps no record of them. */

const sending = ({ count = 2, color = 0xff0000 } = {}) => ({
  '1': pictures({ count, color })['1'],
  '2': {
    class_type: 'SaveImageWebsocket',
    inputs: { images: ['1', 0] },
    _meta: { title: 'Sent' },
  },
});

const imagesOf = ({ output }: Posted) => output?.images?.map(({ filename }) => filename);

test.each([true, false])(
  'images that SaveImageWebsocket sends are images of the result (previews: %s)',
  async (previews) => {
    await using rig = await startRig({ comfy: { previews } });
    const posted = await rig.run({ workflow: sending() });
    expect(posted.output).toEqual({
      images: ['websocket_00001_.png', 'websocket_00002_.png'].map((filename) => ({
        filename,
        type: 'base64',
        data: expect.stringMatching(/^iVBORw0KGgo/),
      })),
    });
    const bytes = Buffer.from(posted.output?.images?.[0]?.data ?? '', 'base64');
    const { dominant } = await sharp(bytes).stats();
    expect([dominant.r > 200, dominant.g < 50, dominant.b < 50]).toEqual([true, true, true]);
    expect(imagesOf(await rig.run({ workflow: sending() }))).toEqual(imagesOf(posted));
  },
);

test('they follow the saved images, and belong to their node', async () => {
  await using rig = await startRig({ comfy: { speed: 1 }, environment: { CLEANUP: 'auto' } });
  const workflow = { ...sampling({ steps: 2, stepMs: 5 }), '4': sending()['2'] };
  const both = await rig.run({ workflow, output: { details: true } });
  expect(both.output?.images).toMatchObject([
    { filename: 'S_00001_.png', nodeId: '3' },
    {
      filename: 'websocket_00001_.png',
      nodeId: '4',
      title: 'Sent',
      mediaType: 'image/png',
      width: 32,
    },
  ]);
  const chosen = await rig.run({ workflow, output: { nodes: ['3'] } });
  expect(imagesOf(chosen)).toEqual(['S_00001_.png']);
});

test('images sent before a node fails are returned beside the error', async () => {
  await using rig = await startRig();
  const posted = await rig.run({
    workflow: {
      ...sending(),
      '3': { class_type: 'ProbeFail', inputs: { image: ['1', 0], message: 'boom' } },
      '4': { class_type: 'SaveImage', inputs: { images: ['3', 0], filename_prefix: 'x' } },
    },
  });
  expect(imagesOf(posted)).toHaveLength(2);
  expect(posted.output?.errors?.join()).toContain('boom');
});

test('images that are lost with the connection are a problem, not a success without images', async () => {
  await using rig = await startRig({ comfy: { speed: 1 } });
  void rig.comfy.faults.breakSockets('close', { at: { type: 'progress', nodeId: '3' } });
  const { '1': image, '2': sender } = sending();
  const posted = await rig.run({
    workflow: {
      '1': image,
      '3': {
        class_type: 'ProbeSampler',
        inputs: { image: ['1', 0], steps: 4, step_ms: 10, seed: 1 },
      },
      '2': { ...sender, inputs: { images: ['3', 0] } },
    },
  });
  expect(posted.error).toBe('Job processing failed');
  expect(posted.output?.details?.join()).toMatch(/Node 2 sends its images through the websocket/);
});
