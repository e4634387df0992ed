import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { bytesOf, startNodeBench } from '../../testing/node-bench.ts';
import { plainImage } from '../images/pixels.ts';
import type { Latent } from '../values.ts';

test('a saved and loaded latent decodes to the same picture', async () => {
  await using bench = await startNodeBench();
  const picture = plainImage(16, 8, 0x102030);
  const samples: Latent = { width: 16, height: 8, batchSize: 1, picture };
  const shown = await bench.show('SaveLatent', { samples, filename_prefix: 'latents/ComfyUI' });
  const filename = 'ComfyUI_00001_.latent';
  expect(shown).toEqual({ latents: [{ filename, subfolder: 'latents', type: 'output' }] });
  const saved = join(bench.folders.output, 'latents', filename);
  await copyFile(saved, join(bench.folders.input, filename));
  const [loaded] = (await bench.outputs('LoadLatent', { latent: filename })) as [Latent];
  expect(loaded).toMatchObject({ width: 16, height: 8, batchSize: 1 });
  expect(bytesOf(loaded.picture!)).toEqual(bytesOf(picture));
});

test('an empty latent is a safetensors file with its shape', async () => {
  await using bench = await startNodeBench();
  const samples: Latent = { width: 64, height: 32, batchSize: 2 };
  await bench.show('SaveLatent', { samples, filename_prefix: 'l' });
  const file = await readFile(join(bench.folders.output, 'l_00001_.latent'));
  const header = file.toString('utf8', 8, 8 + Number(file.readBigUInt64LE()));
  expect(JSON.parse(header)).toMatchObject({
    latent_tensor: { dtype: 'F32', shape: [2, 4, 4, 8], data_offsets: [0, 1024] },
  });
});
