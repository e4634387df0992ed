import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import { JsonText } from '../../../json.ts';
import { startComfySimulator, type ComfySimulator } from '../simulator.ts';
import { SIMULATED_MODELS } from './registry.ts';

const RESOURCES = 'test_resources';
const inFolder = async (folder: string) =>
  (await readdir(join(RESOURCES, folder))).map((name) => join(RESOURCES, folder, name));

const WORKFLOWS = await inFolder('workflows');
const JOBS = [...(await inFolder('jobs')), 'test_input.json'];

const startSimulator = () => startComfySimulator({ models: SIMULATED_MODELS, speed: Infinity });

test.each(WORKFLOWS)('%s runs and produces an image', async (file) => {
  await using comfy = await startSimulator();
  await upload(comfy, {
    name: 'paper-boat.png',
    bytes: await readFile('test_resources/images/paper-boat.png'),
  });
  await expectPictures(comfy, await readFile(file, 'utf8'));
});

test.each(JOBS)('%s contains all its inputs, runs, and produces an image', async (file) => {
  await using comfy = await startSimulator();
  const input = JsonText.parse(await readFile(file, 'utf8')).get('input')!;
  for (const image of input.get('images')!.items()) {
    const { name, image: uri } = image.value() as { name: string; image: string };
    await upload(comfy, { name, bytes: Buffer.from(uri.split(',')[1]!, 'base64') });
  }
  await expectPictures(comfy, input.get('workflow')!.text);
});

async function upload(
  comfy: ComfySimulator,
  { name, bytes }: { readonly name: string; readonly bytes: Buffer },
): Promise<void> {
  const body = new FormData();
  body.set('image', new Blob([Uint8Array.from(bytes)]), name);
  const { status } = await fetch(`${comfy.url}/upload/image`, { method: 'POST', body });
  expect(status).toBe(200);
}

async function expectPictures(comfy: ComfySimulator, workflow: string): Promise<void> {
  const accepted = await fetch(`${comfy.url}/prompt`, {
    method: 'POST',
    body: `{"prompt":${workflow},"client_id":"me"}`,
  });
  const { prompt_id: promptId, node_errors } = (await accepted.json()) as Accepted;
  expect(node_errors).toEqual({});
  await comfy.waitFor({ type: 'history', promptId });
  const answer = await fetch(`${comfy.url}/history/${promptId}`);
  const { outputs, status } = ((await answer.json()) as History)[promptId]!;
  expect(status.status_str).toBe('success');
  const items = Object.values(outputs).flatMap(({ images }) => images);
  expect(items.filter(({ type }) => type === 'output')).not.toHaveLength(0);
  for (const item of items) await expectPicture(comfy, item);
}

async function expectPicture(comfy: ComfySimulator, item: Item): Promise<void> {
  const query = new URLSearchParams({ ...item });
  const file = await fetch(`${comfy.url}/view?${query.toString()}`);
  const { channels } = await sharp(await file.arrayBuffer()).stats();
  expect(Math.max(...channels.map(({ stdev }) => stdev))).toBeGreaterThan(10);
}

interface Item {
  readonly filename: string;
  readonly subfolder: string;
  readonly type: string;
}

interface Accepted {
  readonly prompt_id: string;
  readonly node_errors: object;
}

type History = Record<
  string,
  {
    readonly status: { readonly status_str: string };
    readonly outputs: Record<string, { readonly images: readonly Item[] }>;
  }
>;
