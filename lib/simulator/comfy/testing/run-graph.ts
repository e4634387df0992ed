import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import sharp from 'sharp';
import { schemaNode } from '../nodes/define-node.ts';
import { encodeSafetensors } from '../nodes/models/latent-files.ts';
import type { NodeDefinition } from '../nodes/node.ts';
import { describeWithoutFiles, recordedNames } from '../nodes/recorded/descriptions.ts';
import { neutralValue } from '../nodes/recorded/neutral.ts';
import { writeJson } from '../python/python-json.ts';
import { startComfySimulator, type ComfySimulator } from '../simulator.ts';

/** A workflow in API format. */
export type Graph = Record<string, { class_type: string; inputs: Record<string, unknown> }>;

/** Every model folder has one file. */
export const MODELS = new Proxy({}, { get: () => ['any.safetensors'] }) as Record<string, string[]>;

/** A simulator with a file of each kind in its input folder, and a class `Give TYPE` for each type. */
export async function startWithFiles(): Promise<ComfySimulator> {
  const comfy = await startComfySimulator({
    ...{ models: MODELS, speed: Infinity, previews: false },
    nodes: sources(),
  });
  const picture = await sharp({ create: { width: 32, height: 16, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
  await writeFile(join(comfy.folders.input, 'in.png'), picture);
  for (const name of ['in.mp4', 'in.mp3']) await writeFile(join(comfy.folders.input, name), name);
  const latent = { dtype: 'F32', shape: [1, 4, 8, 8], bytes: new Uint8Array(1024) } as const;
  const file = encodeSafetensors({ latent_tensor: latent }, {});
  await writeFile(join(comfy.folders.input, 'in.latent'), file);
  for (const folder of [comfy.folders.input, comfy.folders.output]) {
    await mkdir(join(folder, 'dataset'));
  }
  return comfy;
}

/** Runs a graph that must be accepted, and returns its history entry. */
export async function run(comfy: ComfySimulator, graph: Graph) {
  const answer = await fetch(`${comfy.url}/prompt`, {
    method: 'POST',
    body: writeJson({ prompt: graph }),
  });
  const {
    prompt_id: promptId,
    node_errors,
    error,
  } = (await answer.json()) as {
    readonly prompt_id: string;
    readonly node_errors: object;
    readonly error?: unknown;
  };
  expect({ error, node_errors }).toEqual({ error: undefined, node_errors: {} });
  await comfy.waitFor({ type: 'history', promptId });
  const history = await fetch(`${comfy.url}/history/${promptId}`);
  const entry = ((await history.json()) as Record<string, Ended>)[promptId];
  if (!entry) throw new Error(`Prompt ${promptId} is not in the history`);
  return entry;
}

interface Ended {
  readonly status: { readonly status_str: string; readonly messages: readonly unknown[] };
  readonly outputs: Record<string, Record<string, readonly unknown[]>>;
}

/** A class for each type of the recorded inputs that gives a neutral value of it. */
function sources(): Map<string, NodeDefinition> {
  const text = [...recordedNames()].map((name) => writeJson(describeWithoutFiles(name)));
  const types = new Set(text.join('').match(/(?<=")[A-Z][A-Z0-9_]+(?=[",])/g));
  return new Map(
    [...types].map((type) =>
      schemaNode({
        name: `Give ${type}`,
        module: 'tests',
        category: 'tests',
        inputs: {},
        outputs: [type],
        run: () => ({ outputs: [neutralValue(type, 'tests', {})] }),
      }),
    ),
  );
}
