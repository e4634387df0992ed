import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { SAVING_NODES } from './rigs/saving-nodes.ts';
import { pictures, startRig, type RigOptions } from './rigs/test-rig.ts';

/** What saving nodes write while a job has a folder of its own: where it goes, and what stays. */

const startCleaning = (comfy: RigOptions['comfy'] = {}) =>
  startRig({ comfy, environment: { CLEANUP: 'auto' } });

test('a saver that no list knows leaves no file behind; a saved checkpoint or dataset stays', async () => {
  await using rig = await startCleaning({
    nodes: SAVING_NODES,
    models: { checkpoints: ['sdxl.safetensors'] },
  });
  const workflow = {
    '1': { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'sdxl.safetensors' } },
    '2': {
      class_type: 'CheckpointSave',
      inputs: { model: ['1', 0], clip: ['1', 1], vae: ['1', 2], filename_prefix: 'merged/mine' },
    },
    '4': pictures()['1'],
    '5': {
      class_type: 'SaveImageDataSetToFolder',
      inputs: { images: ['4', 0], folder_name: 'set', filename_prefix: 'x' },
    },
    '6': { class_type: 'SaveText', inputs: { text: 'a poem', filename_prefix: 'poems/T' } },
  };
  const posted = await rig.run({ workflow, output: { details: true } });
  expect(posted.output).toMatchObject({
    files: [{ filename: 'T_00001_.txt', subfolder: 'poems' }],
    texts: [{ text: 'a poem' }],
  });
  const { output } = rig.comfy.folders;
  expect((await readdir(output)).sort()).toEqual(['jobs', 'merged', 'set']);
  expect(await readdir(join(output, 'jobs'))).toEqual([]);
  expect(await readdir(join(output, 'merged'))).toEqual(['mine_00001_.safetensors']);
  expect(await readdir(join(output, 'set'))).toEqual(['x_00001_.png']);
});
