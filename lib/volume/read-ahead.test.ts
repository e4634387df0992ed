import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { findModels, readAhead } from './read-ahead.ts';

let root = '';
const MB = 1024 * 1024;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'read-ahead-'));
  await mkdir(join(root, 'checkpoints'));
  await mkdir(join(root, 'loras/style'), { recursive: true });
  await writeFile(join(root, 'checkpoints/a.safetensors'), Buffer.alloc(20 * MB));
  await writeFile(join(root, 'loras/style/ink.safetensors'), Buffer.alloc(MB));
});
afterAll(() => rm(root, { recursive: true }));

test('models are found by name in every model folder, in both formats of workflows', async () => {
  const api = { '1': { class_type: 'X', inputs: { ckpt_name: 'a.safetensors', steps: 3 } } };
  const editor = { nodes: [{ widgets_values: ['style/ink.safetensors', 'missing.ckpt', 1] }] };
  const [checkpoint, lora] = ['checkpoints/a.safetensors', 'loras/style/ink.safetensors'];
  expect(await findModels(api, [root, '/none'])).toEqual([join(root, checkpoint)]);
  expect(await findModels(editor, [root])).toEqual([join(root, lora)]);
});

test('a name that leaves the model folders is no model', async () => {
  const away = { inputs: { name: '../../checkpoints/a.safetensors', other: 'checkpoints' } };
  expect(await findModels(away, [join(root, 'loras')])).toEqual([]);
});

test('files are read once, up to the limit; what cannot be read is left out', async () => {
  const paths = ['none', 'checkpoints/a.safetensors', 'loras/style/ink.safetensors'].map((path) =>
    join(root, path),
  );
  const { signal } = new AbortController();
  expect(await readAhead(paths, { maxBytes: Infinity, signal })).toBe(21 * MB);
  expect(await readAhead(paths, { maxBytes: 9 * MB, signal })).toBe(9 * MB);
  expect(await readAhead(paths, { maxBytes: Infinity, signal: AbortSignal.abort() })).toBe(0);
});
