import { existsSync, openAsBlob } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { systemClock } from '../../clock.ts';
import { ScriptedComfy } from '../scripted-comfy.ts';
import { never, openComfy, type TestSettings } from '../test-comfy.ts';
import { ComfyClient } from '../transport/client.ts';
import { LIMITS } from '../settings.ts';
import { SharedFolder } from './shared-folder.ts';

/** A ComfyUI with these arguments that sees the files in `<folder>/output`. */
async function startWithOutputFolder(argv: (folder: string) => string[]) {
  const parts = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'shared-folder-'));
  parts.defer(() => rm(folder, { recursive: true }));
  const output = join(folder, 'output');
  await mkdir(output);
  const scripted = parts.use(await ScriptedComfy.start());
  const stats = JSON.stringify({ system: { argv: argv(folder) } });
  scripted.script('GET /system_stats', () => ({ body: stats }));
  scripted.script('GET /internal', () => ({ status: 404 }));
  scripted.script('HEAD /view', ({ path }) => {
    const { searchParams } = new URL(path, 'http://x');
    const isThere = existsSync(join(output, searchParams.get('filename') ?? ''));
    return { status: isThere && searchParams.get('type') === 'output' ? 200 : 404 };
  });
  const settings = { url: scripted.url, requestTimeoutMs: 5000, limits: LIMITS };
  const client = parts.use(new ComfyClient(settings, systemClock));
  return { output, scripted, client, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

test.each([
  ['--output-directory', (folder: string) => ['main.py', '--output-directory', `${folder}/output`]],
  ['--base-directory', (folder: string) => ['main.py', `--base-directory=${folder}`]],
  ['the folder of its main.py', (folder: string) => [`${folder}/main.py`]],
])('the output folder is found by %s, and no file is left in it', async (_, argv) => {
  await using rig = await startWithOutputFolder(argv);
  const socket = { clientId: 'one' };
  const shared = new SharedFolder(rig.client, {
    type: 'output',
    configured: undefined,
    socket,
  });
  expect(await shared.path(never)).toBe(rig.output);
  expect(await readdir(rig.output)).toEqual([]);
});

test('a folder that was not found is searched for again after a reconnect, and not before', async () => {
  await using rig = await startWithOutputFolder(() => ['main.py']);
  const socket = { clientId: 'one' };
  const shared = new SharedFolder(rig.client, {
    type: 'output',
    configured: undefined,
    socket,
  });
  expect(await shared.path(never)).toBeUndefined();
  const asked = rig.scripted.requests.length;
  expect(await shared.path(never)).toBeUndefined();
  expect(rig.scripted.requests).toHaveLength(asked);
  socket.clientId = 'two';
  expect(await shared.path(never)).toBeUndefined();
  expect(rig.scripted.requests).toHaveLength(2 * asked);
});

test('a file in the folder is read without a request, unless it is empty, too large or elsewhere', async () => {
  await using rig = await startWithOutputFolder((folder) => [`${folder}/main.py`]);
  const socket = { clientId: 'one' };
  const shared = new SharedFolder(rig.client, { type: 'output', configured: undefined, socket });
  await mkdir(join(rig.output, 'jobs'));
  await writeFile(join(rig.output, 'jobs/a.png'), 'four');
  await writeFile(join(rig.output, 'jobs/empty.png'), '');
  await writeFile(join(rig.output, '../outside.png'), 'four');
  const read = async (
    filename: string,
    { subfolder = 'jobs', type = 'output', bytes = 4 } = {},
  ) => {
    const found = await shared.maybeRead({ filename, subfolder, type }, bytes);
    return found && (await found.bytes()).toString();
  };
  expect(await read('a.png')).toBeUndefined(); // the folder was not looked for yet
  await shared.path(never);
  const asked = rig.scripted.requests.length;
  expect(await read('a.png')).toBe('four');
  expect(await read('a.png', { bytes: 3 })).toBeUndefined();
  expect(await read('a.png', { type: 'temp' })).toBeUndefined();
  expect(await read('empty.png')).toBeUndefined();
  expect(await read('gone.png')).toBeUndefined();
  expect(await read('outside.png', { subfolder: '..' })).toBeUndefined();
  expect(rig.scripted.requests).toHaveLength(asked);
});

test('after a reconnect files are read only when the folder was verified again', async () => {
  await using rig = await startWithOutputFolder((folder) => [`${folder}/main.py`]);
  const socket = { clientId: 'one' };
  const shared = new SharedFolder(rig.client, { type: 'output', configured: undefined, socket });
  const file = { filename: 'a.png', subfolder: '', type: 'output' };
  await writeFile(join(rig.output, 'a.png'), 'four');
  await shared.path(never);
  socket.clientId = 'two';
  expect(await shared.maybeRead(file, 4)).toBeUndefined();
  await shared.path(never);
  expect(await shared.maybeRead(file, 4)).toBeDefined();
});

/** A ComfyUI that sees the files in `<folder>/input` and reports the given arguments and folders. */
async function startWithInputFolder(
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
  ['the folder of its main.py', (folder: string) => ({ argv: [`${folder}/main.py`] })],
])('the input folder is found by %s, and no file is left in it', async (_, about) => {
  await using rig = await startWithInputFolder(about);
  expect(await rig.comfy.inputFolder(never)).toBe(rig.input);
  expect(await readdir(rig.input)).toEqual([]);
  const asked = rig.scripted.requests.length;
  expect(await rig.comfy.inputFolder(never)).toBe(rig.input);
  expect(rig.scripted.requests).toHaveLength(asked);
});

test('a configured folder that ComfyUI does not see is not used', async () => {
  await using rig = await startWithInputFolder(
    (folder) => ({ argv: [`${folder}/main.py`] }),
    (folder) => ({ inputDir: folder }),
  );
  expect(await rig.comfy.inputFolder(never)).toBeUndefined();
  expect(await readdir(rig.folder)).toEqual(['input']);
});

test('a file up to the limit that ComfyUI reports is uploaded, a larger one goes over the shared disk', async () => {
  await using rig = await startWithInputFolder(
    (folder) => ({ argv: [`${folder}/main.py`] }),
    () => ({ limits: { uploadBytes: 100_000 } }),
  );
  const { comfy, scripted, input, folder } = rig;
  scripted.script('GET /features', () => ({ body: '{"max_upload_size":115000.0}' }));
  scripted.script('POST /upload', () => ({ body: '{"name":"stored.bin"}' }));
  const store = async (bytes: number) => {
    const path = join(folder, `${bytes}`);
    await writeFile(path, '');
    await truncate(path, bytes);
    const content = await openAsBlob(path);
    const file = { name: 'a.bin', subfolder: 'deep/er', mediaType: 'video/mp4', content };
    return comfy.storeInput(file, never);
  };
  expect(await store(105_000)).toMatchObject({ name: 'stored.bin' });
  expect(await readdir(input)).toEqual([]);
  expect(await store(116_000)).toEqual({ name: 'a.bin', subfolder: 'deep/er', type: 'input' });
  expect(await readdir(join(input, 'deep/er'))).toEqual(['a.bin']);
});

test('without a report the limit is the default of ComfyUI, 100 MiB for the whole request', () => {
  expect(LIMITS.uploadBytes).toBe(104_857_600);
});

test('a name that leads out of the input folder is not written to disk', async () => {
  await using rig = await startWithInputFolder((folder) => ({ argv: [`${folder}/main.py`] }));
  const path = join(rig.folder, 'large');
  await writeFile(path, '');
  await truncate(path, 105_000_000);
  rig.scripted.script('GET /features', () => ({ status: 404 }));
  const file = { name: '../../x', mediaType: 'video/mp4', content: await openAsBlob(path) };
  await expect(rig.comfy.storeInput(file, never)).rejects.toThrow(/leads out of the input folder/);
  expect((await readdir(rig.folder)).sort()).toEqual(['input', 'large']);
});
