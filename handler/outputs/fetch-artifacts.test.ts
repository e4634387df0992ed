import { readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { expect, test } from '@jest/globals';
import { JsonText } from '../../lib/json.ts';
import { openComfy } from '../../lib/comfy/test-comfy.ts';
import { startComfySimulator } from '../../lib/simulator/comfy/simulator.ts';
import { mountFullDisk } from '../../lib/worker/test-full-disk.ts';
import { ArtifactFetcher } from './fetch-artifacts.ts';
import { openTestScope } from '../test/rigs/test-scope.ts';

const LARGE = Buffer.alloc(9 * 1024 * 1024, 'video');
const GIF = Buffer.from('GIF89a\x01\x00\x01\x00\x80\x00\x00', 'latin1');

/** A signal that does not abort. */
const NEVER = new AbortController().signal;

async function startSetup() {
  const parts = new AsyncDisposableStack();
  const simulator = parts.use(await startComfySimulator({ speed: Infinity }));
  const comfy = parts.use(openComfy(simulator.url));
  const scope = parts.use(openTestScope());
  const start = (jobs = scope) => new ArtifactFetcher({ comfy, transfers: 2, scope: jobs });
  const keep = async (filename: string, bytes: Buffer) => {
    const form = new FormData();
    form.append('image', new File([bytes], filename));
    form.append('type', 'output');
    const answer = await fetch(`${simulator.url}/upload/image`, { method: 'POST', body: form });
    expect(answer.status).toBe(200);
    return { nodeId: '1', key: 'gifs', filename, subfolder: '', type: 'output' };
  };
  const path = dirname(await scope.newScratchPath());
  return {
    folder: { path, dispose: () => scope[Symbol.asyncDispose]() },
    start,
    keep,
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

test('a large file is fetched to the scratch folder, and removed with it', async () => {
  await using setup = await startSetup();
  const large = await setup.keep('large.mp4', LARGE);
  const small = await setup.keep('small.bin', GIF);
  await using fetcher = setup.start();
  const { artifacts, problems } = await fetcher.fetchAll([large, small], NEVER);
  expect(problems).toEqual([]);
  expect(artifacts.map(({ mediaType }) => mediaType)).toEqual(['video/mp4', 'image/gif']);
  const [first, second] = artifacts;
  expect(LARGE.equals(Buffer.from(await first!.content.bytes()))).toBe(true);
  expect(GIF.equals(Buffer.from(await second!.content.bytes()))).toBe(true);
  expect(await readdir(setup.folder.path)).toHaveLength(1);
  await setup.folder.dispose();
  await expect(readdir(setup.folder.path)).rejects.toThrow(/ENOENT/);
});

test('a missing file is a problem with its name, and the others are fetched', async () => {
  await using setup = await startSetup();
  const kept = await setup.keep('kept.gif', GIF);
  await using fetcher = setup.start();
  const { artifacts, problems } = await fetcher.fetchAll(
    [{ ...kept, filename: 'gone.gif' }, kept],
    NEVER,
  );
  expect(artifacts.map(({ filename }) => filename)).toEqual(['kept.gif']);
  expect(problems).toEqual([
    expect.stringMatching(
      /^Failed to fetch video data for gone\.gif from \/view endpoint\. Cause: 404 Client Error/,
    ),
  ]);
});

test('disposing aborts the downloads that are still running', async () => {
  await using setup = await startSetup();
  const large = await setup.keep('large.mp4', LARGE);
  const fetcher = setup.start();
  fetcher.announce('1', JsonText.of({ gifs: [large] }));
  await fetcher[Symbol.asyncDispose]();
  expect(await readdir(setup.folder.path)).toEqual([]);
  await expect(fetcher.fetchAll([large], NEVER)).rejects.toMatchObject({ name: 'AbortError' });
});

test('on a full disk large files go to memory', async () => {
  await using disk = await mountFullDisk();
  if (!disk) return;
  const { TMPDIR } = process.env;
  await using setup = await startSetup();
  const large = await setup.keep('large.mp4', LARGE);
  await disk.makeSpace(); // for the folder; the file does not fit
  process.env.TMPDIR = disk.folder;
  try {
    await using scope = openTestScope();
    await using fetcher = setup.start(scope);
    const { artifacts, problems } = await fetcher.fetchAll([large], NEVER);
    expect(problems).toEqual([]);
    expect(LARGE.equals(Buffer.from(await artifacts[0]!.content.bytes()))).toBe(true);
  } finally {
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
  }
});
