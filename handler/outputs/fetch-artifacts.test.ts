import { readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { expect, test } from '@jest/globals';
import { JsonText } from '../../lib/json.ts';
import { never, openComfy, silentLog } from '../../lib/comfy/test-comfy.ts';
import { startComfySimulator } from '../../lib/simulator/comfy/simulator.ts';
import { ArtifactFetcher } from './fetch-artifacts.ts';
import { openWorkFolder } from '../work-folder.ts';

const LARGE = Buffer.alloc(9 * 1024 * 1024, 'video');
const GIF = Buffer.from('GIF89a\x01\x00\x01\x00\x80\x00\x00', 'latin1');

async function startSetup() {
  const parts = new AsyncDisposableStack();
  const simulator = parts.use(await startComfySimulator({ speed: Infinity }));
  const comfy = parts.use(openComfy(simulator.url));
  const folder = parts.use(openWorkFolder(silentLog));
  const start = (signal = never) =>
    new ArtifactFetcher({ comfy, transfers: 2, log: silentLog, newPath: folder.newPath }, signal);
  const keep = async (filename: string, bytes: Buffer) => {
    const form = new FormData();
    form.append('image', new File([bytes], filename));
    form.append('type', 'output');
    const answer = await fetch(`${simulator.url}/upload/image`, { method: 'POST', body: form });
    expect(answer.status).toBe(200);
    return { nodeId: '1', key: 'gifs', filename, subfolder: '', type: 'output' };
  };
  const path = dirname(await folder.newPath());
  return {
    folder: { path, dispose: () => folder[Symbol.asyncDispose]() },
    start,
    keep,
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

test('a large file arrives whole without ever being in memory, and goes when its job is over', async () => {
  await using setup = await startSetup();
  const large = await setup.keep('large.mp4', LARGE);
  const small = await setup.keep('small.bin', GIF);
  await using fetcher = setup.start();
  const { artifacts, problems } = await fetcher.collect([large, small]);
  expect(problems).toEqual([]);
  expect(artifacts.map(({ mediaType }) => mediaType)).toEqual(['video/mp4', 'image/gif']);
  const [first, second] = artifacts;
  expect(LARGE.equals(Buffer.from(await first!.content.arrayBuffer()))).toBe(true);
  expect(GIF.equals(Buffer.from(await second!.content.arrayBuffer()))).toBe(true);
  expect(await readdir(setup.folder.path)).toHaveLength(1);
  await setup.folder.dispose();
  await expect(readdir(setup.folder.path)).rejects.toThrow(/ENOENT/);
});

test('a file that is not there is told by name, and costs only itself', async () => {
  await using setup = await startSetup();
  const kept = await setup.keep('kept.gif', GIF);
  await using fetcher = setup.start();
  const { artifacts, problems } = await fetcher.collect([{ ...kept, filename: 'gone.gif' }, kept]);
  expect(artifacts.map(({ filename }) => filename)).toEqual(['kept.gif']);
  expect(problems).toEqual([
    expect.stringMatching(
      /^Failed to fetch image data for gone\.gif from \/view endpoint\. Cause: 404 Client Error/,
    ),
  ]);
});

test('a job that ends early leaves no download behind', async () => {
  await using setup = await startSetup();
  const large = await setup.keep('large.mp4', LARGE);
  const fetcher = setup.start();
  fetcher.announce('1', JsonText.of({ gifs: [large] }));
  await fetcher[Symbol.asyncDispose]();
  expect(await readdir(setup.folder.path)).toEqual([]);
  await expect(fetcher.collect([large])).rejects.toMatchObject({ name: 'AbortError' });
});
