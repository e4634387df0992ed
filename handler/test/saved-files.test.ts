import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { ByteSource } from '../../lib/workflow/embedded/byte-source.ts';
import { readEmbedded } from '../../lib/workflow/embedded/embedded.ts';
import { SAVING_NODES } from './rigs/saving-nodes.ts';
import { pictures, startRig, type RigOptions } from './rigs/test-rig.ts';

/** How saving nodes are redirected into the job folder, and which nodes are left alone. */

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

/** Saves two still PNGs, an animated PNG and an animated WebP. */
const savingAll = {
  '1': pictures({ count: 2 })['1'],
  '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'sub/still' } },
  '3': {
    class_type: 'SaveAnimatedPNG',
    inputs: { images: ['1', 0], filename_prefix: 'moving', fps: 2, compress_level: 4 },
  },
  '4': {
    class_type: 'SaveAnimatedWEBP',
    inputs: {
      ...{ images: ['1', 0], filename_prefix: 'web/moving', fps: 2, lossless: true, quality: 80 },
      method: 'default',
    },
  },
};

test('delivered pictures carry the prompt of the caller, and are the files a job without its own folder makes', async () => {
  const deliver = async (environment: Record<string, string>) => {
    await using rig = await startRig({ environment });
    const { output } = await rig.run({ workflow: savingAll });
    return output?.images?.map(({ filename, data }) => [filename, data] as const) ?? [];
  };
  const redirected = await deliver({ CLEANUP: 'auto' });
  expect(redirected.map(([name]) => name)).toEqual([
    'still_00001_.png',
    'still_00002_.png',
    'moving_00001_.png',
    'moving_00001_.webp',
  ]);
  for (const [, data] of redirected) {
    const found = await readEmbedded(ByteSource.ofBytes(Buffer.from(data, 'base64')));
    expect(JSON.parse(found?.get('prompt')?.text ?? '')).toEqual(savingAll);
    expect(Buffer.from(data, 'base64').toString('latin1')).not.toContain('jobs/');
  }
  expect(redirected).toEqual(await deliver({ CLEANUP: 'never' }));
});
