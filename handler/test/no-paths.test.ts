import { expect, test } from '@jest/globals';
import { pictures, startRig } from './rigs/test-rig.ts';

/** Answers name files of the server, but not the folders they are in. */

const failing = (message: string) => ({
  ...pictures(),
  '3': { class_type: 'ProbeFail', inputs: { image: ['1', 0], message } },
  '4': { class_type: 'SaveImage', inputs: { images: ['3', 0], filename_prefix: 'x' } },
});

test.each([
  ["cannot identify image file '/comfyui/secret/x.png'", "cannot identify image file '…/x.png'"],
  [
    'Traceback (most recent call last):\n  File "/comfyui/secret/nodes.py", line 3, in f',
    'Traceback (most recent call last):\n  File "…/nodes.py", line 3, in f',
  ],
])('a node that raises with a path of the server: %j', async (message, shown) => {
  await using rig = await startRig();
  const { '1': image, '3': fail, '4': save } = failing(message);
  const alone = { '1': image, '3': fail, '4': save };
  const raised = `Workflow execution error: Node Type: ProbeFail, Node ID: 3, Message: ${shown}\n`;
  expect((await rig.run({ workflow: alone })).output?.details).toEqual([raised]);
  expect((await rig.run({ workflow: failing(message) })).output?.errors).toEqual([raised]);
});

test('a prefix that leads out of the output folder does not show where that folder is', async () => {
  await using rig = await startRig();
  const posted = await rig.run({ workflow: pictures({ prefix: '../../T' }) });
  const text = JSON.stringify(posted);
  expect(text).toContain('Saving image outside the output folder is not allowed');
  expect(text).not.toContain(rig.comfy.folders.output);
  expect(text).toMatch(/output_dir: …\/output/);
});
