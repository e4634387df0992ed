import { existsSync, openAsBlob } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { ScriptedComfy } from '../transport/scripted-comfy.ts';
import { never, openComfy, type TestSettings } from '../test-comfy.ts';

/** A ComfyUI that sees `<folder>/input`, and says of itself what a test wants. */
async function startPlace(
  about: (folder: string) => { argv?: string[]; customNodes?: string },
  settings: (folder: string) => TestSettings = () => ({}),
) {
  const folder = await mkdtemp(join(tmpdir(), 'store-input-'));
  const input = join(folder, 'input');
  await mkdir(input);
  const { argv = ['main.py'], customNodes } = about(folder);
  const scripted = await ScriptedComfy.start();
  scripted.script('GET /system_stats', () => ({ body: JSON.stringify({ system: { argv } }) }));
  scripted.script('GET /internal', () =>
    customNodes === undefined
      ? { status: 404 }
      : { body: JSON.stringify({ custom_nodes: [customNodes] }) },
  );
  scripted.script('HEAD /view', ({ path }) => {
    const name = new URL(path, 'http://x').searchParams.get('filename') ?? '';
    return { status: existsSync(join(input, name)) ? 200 : 404 };
  });
  const comfy = openComfy(scripted.url, settings(folder));
  return {
    input,
    folder,
    scripted,
    comfy,
    [Symbol.asyncDispose]: async () => {
      await comfy[Symbol.asyncDispose]();
      await scripted[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

test.each([
  [
    '--input-directory',
    (folder: string) => ({ argv: ['main.py', '--input-directory', `${folder}/input`] }),
  ],
  [
    '--input-directory=',
    (folder: string) => ({ argv: ['main.py', `--input-directory=${folder}/input`] }),
  ],
  ['--base-directory', (folder: string) => ({ argv: ['main.py', '--base-directory', folder] })],
  [
    'the folder of its custom nodes',
    (folder: string) => ({ customNodes: `${folder}/custom_nodes` }),
  ],
  ['the place of its program', (folder: string) => ({ argv: [`${folder}/main.py`] })],
])('the input folder is found by %s, and nothing is left in it', async (_, about) => {
  await using place = await startPlace(about);
  expect(await place.comfy.inputFolder(never)).toBe(place.input);
  expect(await readdir(place.input)).toEqual([]);
  const asked = place.scripted.requests.length;
  expect(await place.comfy.inputFolder(never)).toBe(place.input);
  expect(place.scripted.requests).toHaveLength(asked);
});

test('a folder that ComfyUI does not see is not taken for its input folder', async () => {
  await using place = await startPlace(
    (folder) => ({ argv: [`${folder}/main.py`] }),
    (folder) => ({ inputDir: folder }),
  );
  expect(await place.comfy.inputFolder(never)).toBeUndefined();
  expect(await readdir(place.folder)).toEqual(['input']);
});

test('what ComfyUI says it takes is uploaded, and what it does not goes over the disk', async () => {
  await using place = await startPlace((folder) => ({ argv: [`${folder}/main.py`] }));
  const { comfy, scripted, input, folder } = place;
  scripted.script('GET /features', () => ({ body: '{"max_upload_size":115343360.0}' }));
  scripted.script('POST /upload', () => ({ body: '{"name":"stored.bin"}' }));
  const store = async (bytes: number) => {
    const path = join(folder, `${bytes}`);
    await writeFile(path, '');
    await truncate(path, bytes);
    const content = await openAsBlob(path);
    const file = { name: 'a.bin', subfolder: 'deep/er', mediaType: 'video/mp4', content };
    return comfy.storeInput(file, never);
  };
  expect(await store(105_000_000)).toMatchObject({ name: 'stored.bin' });
  expect(await readdir(input)).toEqual([]);
  expect(await store(116_000_000)).toEqual({ name: 'a.bin', subfolder: 'deep/er', type: 'input' });
  expect(await readdir(join(input, 'deep/er'))).toEqual(['a.bin']);
});

test('a name that leads out of the input folder is not written to disk', async () => {
  await using place = await startPlace((folder) => ({ argv: [`${folder}/main.py`] }));
  const path = join(place.folder, 'large');
  await writeFile(path, '');
  await truncate(path, 105_000_000);
  place.scripted.script('GET /features', () => ({ status: 404 }));
  const file = { name: '../../x', mediaType: 'video/mp4', content: await openAsBlob(path) };
  await expect(place.comfy.storeInput(file, never)).rejects.toThrow(
    /leads out of the input folder/,
  );
  expect((await readdir(place.folder)).sort()).toEqual(['input', 'large']);
});
