import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { ComfyClient } from '../transport/client.ts';
import { systemClock } from '../../clock.ts';
import { ScriptedComfy } from '../transport/scripted-comfy.ts';
import { LIMITS } from './settings.ts';
import { SharedFolder } from './shared-folder.ts';
import { never } from '../test-comfy.ts';

/** A ComfyUI that was started with these arguments, and sees what is in `<folder>/output`. */
async function startPlace(argv: (folder: string) => string[]) {
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
  ['the place of its program', (folder: string) => [`${folder}/main.py`]],
])('the output folder is found by %s, and nothing is left in it', async (_, argv) => {
  await using place = await startPlace(argv);
  const connection = () => 'one';
  const shared = new SharedFolder(place.client, {
    type: 'output',
    configured: undefined,
    connection,
  });
  expect(await shared.path(never)).toBe(place.output);
  expect(await readdir(place.output)).toEqual([]);
});

test('what is not to be found is looked for again when ComfyUI may be another one, and not before', async () => {
  await using place = await startPlace(() => ['main.py']);
  let clientId = 'one';
  const connection = () => clientId;
  const shared = new SharedFolder(place.client, {
    type: 'output',
    configured: undefined,
    connection,
  });
  expect(await shared.path(never)).toBeUndefined();
  const asked = place.scripted.requests.length;
  expect(await shared.path(never)).toBeUndefined();
  expect(place.scripted.requests).toHaveLength(asked);
  clientId = 'two';
  expect(await shared.path(never)).toBeUndefined();
  expect(place.scripted.requests).toHaveLength(2 * asked);
});
