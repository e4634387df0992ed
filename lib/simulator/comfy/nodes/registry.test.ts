import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { writeJson } from '../python/python-json.ts';
import { startNodeBench } from '../testing/node-bench.ts';
import { NODES } from './registry.ts';

const RECORDED = JSON.parse(
  await readFile('test_resources/transcripts/comfyui-0.8.0/object_info.json', 'utf8'),
) as Record<string, object>;

const shared = [...NODES.keys()].filter((name) => name in RECORDED);

test.each(shared)('%s has the description of a real ComfyUI', async (name) => {
  await using bench = await startNodeBench();
  const info = await NODES.get(name)!.info({ ...bench.host, models: {} });
  expect(JSON.stringify(withoutFiles(JSON.parse(writeJson(info))))).toBe(
    JSON.stringify(withoutFiles(RECORDED[name])),
  );
});

/** Ignores the names of files on the recorded machine. */
function withoutFiles(info: unknown): unknown {
  return JSON.parse(JSON.stringify(info), (_, value: unknown) =>
    Array.isArray(value) && value.some((item) => String(item).endsWith('.png')) ? [] : value,
  );
}

test('every recorded node class exists', () => {
  expect(Object.keys(RECORDED).filter((name) => !NODES.has(name))).toEqual([]);
});

test('the maximum seed is described without rounding', async () => {
  await using bench = await startNodeBench();
  const info = await NODES.get('KSampler')!.info(bench.host);
  expect(writeJson(info)).toMatch(/"max": ?18446744073709551615,/);
});

test("loaders offer the server's model files", async () => {
  await using bench = await startNodeBench();
  const info = await NODES.get('CheckpointLoaderSimple')!.info({
    ...bench.host,
    models: { checkpoints: ['mine.safetensors'] },
  });
  expect(info.input.required?.ckpt_name).toEqual([['mine.safetensors'], {}]);
});
