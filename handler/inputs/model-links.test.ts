import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import type { Progress } from '../../lib/comfy/backend.ts';
import { JsonText } from '../../lib/json.ts';
import { ModelCache } from '../../lib/models/cache/model-cache.ts';
import { never, safetensors, startFetchRig } from '../../lib/models/test-models.ts';
import { startFileServer } from '../../lib/simulator/stand-ins/files.ts';
import { fetchLinkedModels } from './model-links.ts';

const MODEL = { content: safetensors(100_000) };
const FILES = {
  '/a.safetensors': MODEL,
  '/b.safetensors': MODEL,
  '/c.safetensors': MODEL,
  '/d.safetensors': MODEL,
};

/** Loaders as ComfyUI describes them: one that is known, and one of a node pack with files to choose from. */
const infos = new Map([
  ['LoraLoader', JsonText.of({ input: { required: { lora_name: [[]] } } })],
  ['PackLoader', JsonText.of({ input: { required: { model: [['here.safetensors']] } } })],
  ['TextNode', JsonText.of({ input: { required: { text: ['STRING', {}] } } })],
]);

async function startRig(maxBytes = 1e9, pinned: readonly string[] = []) {
  const rig = await startFetchRig();
  const folder = (name: string) => join(rig.folder, name);
  for (const name of ['loras', 'pack']) await mkdir(folder(name));
  await writeFile(join(folder('pack'), 'here.safetensors'), 'x');
  const cache = new ModelCache(rig.fetcher, {
    maxBytes,
    pinned: () => Promise.resolve(new Set(pinned)),
  });
  const seen: Progress[] = [];
  const comfy = {
    describeNodes: () => Promise.resolve(infos),
    modelFolders: () =>
      Promise.resolve(new Map(['loras', 'pack'].map((name) => [name, [folder(name)]]))),
  };
  const link = (workflow: object) =>
    fetchLinkedModels(JsonText.of(workflow), {
      ...{ comfy, cache, signal: never },
      onProgress: (progress) => seen.push(progress),
    });
  return { ...rig, link, seen, folder };
}

const lora = (url: string) => ({ '1': { class_type: 'LoraLoader', inputs: { lora_name: url } } });

test('URLs in loaders are fetched into the folders of the loaders, and replaced by names; other URLs stay', async () => {
  await using server = await startFileServer({ files: FILES });
  await using rig = await startRig();
  const text = `${server.url}/a.safetensors`;
  using linked = await rig.link({
    ...lora(text),
    '2': { class_type: 'PackLoader', inputs: { model: `${server.url}/b.safetensors` } },
    '3': { class_type: 'TextNode', inputs: { text } },
  });
  const inputs = (id: string) => linked.workflow.get(id)?.get('inputs')?.value();
  expect(inputs('1')).toEqual({
    lora_name: expect.stringMatching(/^fetched\/[0-9a-f]{12}\/a\.safetensors$/) as unknown,
  });
  expect(inputs('2')).toMatchObject({ model: expect.stringMatching(/b\.safetensors$/) as unknown });
  expect(inputs('3')).toEqual({ text });
  expect(await readdir(join(rig.folder('pack'), 'fetched'))).toHaveLength(1);
  expect(rig.seen[0]).toMatchObject({ node: '1', nodeTitle: 'Fetching a.safetensors' });
});

test('above the limit the model used longest ago is removed, but none that a job holds, and none that the manifest names', async () => {
  await using server = await startFileServer({ files: FILES });
  await using rig = await startRig(350_000, ['d.safetensors']);
  const names = () => readdir(join(rig.folder('loras'), 'fetched'), { recursive: true });
  const models = async () =>
    (await names())
      .filter((name) => name.includes('/'))
      .map((name) => name.slice(13))
      .sort();
  (await rig.link(lora(`${server.url}/d.safetensors`)))[Symbol.dispose]();
  using _held = await rig.link(lora(`${server.url}/a.safetensors`));
  (await rig.link(lora(`${server.url}/b.safetensors`)))[Symbol.dispose]();
  (await rig.link(lora(`${server.url}/c.safetensors`)))[Symbol.dispose]();
  expect(await models()).toEqual(['a.safetensors', 'c.safetensors', 'd.safetensors']);
});
