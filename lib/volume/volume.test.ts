import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from '@jest/globals';
import { writeModelPaths } from './model-folders.ts';
import { reportVolume } from './report.ts';

/** A volume with files of these sizes. */
async function volumeWith(files: Readonly<Record<string, number>>): Promise<string> {
  const volume = await mkdtemp(join(tmpdir(), 'volume-'));
  for (const [path, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(volume, path)), { recursive: true });
    await writeFile(join(volume, path), Buffer.alloc(bytes));
  }
  return volume;
}

const MODEL = 5000;

test('ComfyUI is told every folder type that it knows, node packs, and folders that only node packs know', async () => {
  const volume = await volumeWith({ 'models/ipadapter/a.safetensors': MODEL });
  const text = await readFile((await writeModelPaths(volume)) ?? '', 'utf8');
  const lines = text.split('\n').map((line) => line.trim());
  expect(lines).toContain(`base_path: ${JSON.stringify(volume)}`);
  for (const folder of [
    'text_encoders',
    'diffusion_models',
    'model_patches',
    'clip',
    'unet',
    'vae',
    'ipadapter',
  ])
    expect(lines).toContain(`"${folder}": "models/${folder}/"`);
  expect(lines).toContain('"controlnet": "models/controlnet/\\nmodels/t2i_adapter/"');
  expect(lines).toContain('custom_nodes: custom_nodes/');
});

test('without a volume there are no paths, and the report says where one is expected', async () => {
  expect(await writeModelPaths('/no/such/volume')).toBeUndefined();
  const { hints } = await reportVolume('/no/such/volume');
  expect(hints).toEqual([expect.stringContaining('/no/such/volume does not exist')]);
});

test('the report lists the models of each folder, with their sizes, in subfolders too', async () => {
  const volume = await volumeWith({
    'models/loras/a.safetensors': MODEL,
    'models/loras/style/b.safetensors': MODEL,
    'models/checkpoints/c.ckpt': MODEL,
  });
  expect(await reportVolume(volume)).toEqual({
    found: [
      'checkpoints: 1 files, 0.0 GB (c.ckpt)',
      'loras: 2 files, 0.0 GB (a.safetensors, style/b.safetensors)',
    ],
    hints: [],
  });
});

test.each([
  ['a folder of models beside "models"', 'loras/a.safetensors', 'loras: move it to '],
  ['a model directly in "models"', 'models/a.safetensors', 'into the folder of its type'],
  [
    'models one level too deep',
    'models/models/loras/a.safetensors',
    'models/models: one level too deep',
  ],
  ['a folder within its own kind', 'models/loras/loras/a.safetensors', 'one level too deep'],
  ['a misspelt folder', 'models/checkpoint/a.safetensors', 'rename it to models/checkpoints'],
  ['a folder in capitals', 'models/LoRA/a.safetensors', 'rename it to models/loras'],
  ['a wrong extension', 'models/loras/a.zip', 'extension ".zip"'],
])('the report gives a hint for %s', async (_, path, hint) => {
  const volume = await volumeWith({ 'models/vae/other.safetensors': MODEL, [path]: MODEL });
  const { hints } = await reportVolume(volume);
  expect(hints).toEqual([expect.stringContaining(hint)]);
});

test('the report tells of weights that are too small to be weights', async () => {
  const volume = await volumeWith({ 'models/loras/a.safetensors': 134 });
  const { hints } = await reportVolume(volume);
  expect(hints).toEqual([expect.stringContaining('only 134 bytes; download it again')]);
});
