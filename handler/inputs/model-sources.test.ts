import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startRig, type Rig } from '../test/rigs/test-rig.ts';

let folder: string;
let rig: Rig;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'model-sources-'));
  const manifest = join(folder, 'manifest.yaml');
  const url = 'https://models.example/ours/pinned.safetensors?token=secret';
  await writeFile(
    manifest,
    JSON.stringify({ models: { before_start: [], after_start: [{ url, folder: 'checkpoints' }] } }),
  );
  rig = await startRig({
    environment: { MANIFEST_FILE: manifest },
    comfy: { models: { checkpoints: ['sdxl.safetensors'] } },
  });
});

afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** Clients match on this text. New text comes after it. */
const KNOWN_TEXT =
  /^Workflow validation failed:\n• Node 4 \(CheckpointLoaderSimple\): .*\n\nAvailable checkpoint models: sdxl\.safetensors/s;

const loading = (ckpt_name: string) => ({
  '4': { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name } },
  '5': { class_type: 'EmptyLatentImage', inputs: { width: 64, height: 64, batch_size: 1 } },
  '8': { class_type: 'VAEDecode', inputs: { samples: ['5', 0], vae: ['4', 2] } },
  '9': { class_type: 'SaveImage', inputs: { images: ['8', 0], filename_prefix: 'x' } },
});

/** As the editor saves a node. */
const listing = (name: string) => ({
  nodes: [
    {
      id: 4,
      type: 'CheckpointLoaderSimple',
      properties: {
        models: [{ name, url: `https://hub.example/${name}`, directory: 'checkpoints' }],
      },
    },
  ],
});

test('the refusal for a missing model says where the workflow of the editor has it from', async () => {
  const { error } = await rig.run({
    workflow: loading('sub/nope.safetensors'),
    extra_pnginfo: { workflow: listing('nope.safetensors') },
  });
  expect(error).toMatch(KNOWN_TEXT);
  expect(error).toContain(
    '\n\nWhere to get missing models:\n• sub/nope.safetensors: https://hub.example/nope.safetensors, for the folder models/checkpoints (says the workflow)',
  );
});

test('it says where the manifest has the model from, without what the URL keeps secret', async () => {
  const { error } = await rig.run({ workflow: loading('pinned.safetensors') });
  expect(error).toMatch(KNOWN_TEXT);
  expect(error).toContain(
    'https://models.example/ours/pinned.safetensors, for the folder models/checkpoints (says the manifest)',
  );
  expect(error).not.toContain('secret');
});

test('models that are available are not said to be missing, and nothing is added when nobody tells', async () => {
  const { error } = await rig.run({
    workflow: loading('nope.safetensors'),
    extra_pnginfo: { workflow: listing('sdxl.safetensors') },
  });
  expect(error).toMatch(RegExp(`${KNOWN_TEXT.source}$`, 's'));
});
