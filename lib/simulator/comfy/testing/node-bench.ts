/** For tests: runs single nodes in temporary folders, without a server. */

import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Folders, ImageBatch, NodeContext, NodeDefinition, NodeHost } from '../nodes/node.ts';
import { SIMULATED_MODELS, NODES } from '../nodes/registry.ts';

export interface NodeBench extends AsyncDisposable {
  readonly host: NodeHost;
  readonly folders: Folders;
  /** Progress reported so far. */
  readonly steps: { readonly value: number; readonly max: number; readonly preview?: Uint8Array }[];
  /** Runs a node and returns its outputs. */
  outputs(name: string, inputs: object): Promise<readonly unknown[]>;
  /** Runs a node and returns its first output, an image batch. */
  image(name: string, inputs: object): Promise<ImageBatch>;
  /** Runs a node and returns its `ui` output. */
  show(name: string, inputs: object): Promise<Readonly<Record<string, readonly unknown[]>>>;
}

export async function startNodeBench(
  facts: Partial<Pick<NodeContext, 'prompt' | 'extraPnginfo' | 'progress'>> = {},
): Promise<NodeBench> {
  const root = await mkdtemp(join(tmpdir(), 'node-bench-'));
  const folders = await makeFolders(root);
  const host: NodeHost = { folders, models: SIMULATED_MODELS };
  const steps: NodeBench['steps'] = [];
  const context: NodeContext = {
    ...host,
    nodeId: '1',
    prompt: undefined,
    extraPnginfo: undefined,
    progress: (value, max, preview) => {
      steps.push({ value, max, ...(preview ? { preview } : {}) });
      return Promise.resolve();
    },
    work: () => Promise.resolve(),
    note: () => undefined,
    ...facts,
  };
  const run = async (name: string, inputs: object) =>
    definitionOf(name).execute({ ...inputs }, context);
  const outputs = async (name: string, inputs: object) => (await run(name, inputs)).outputs ?? [];
  return {
    host,
    folders,
    steps,
    outputs,
    image: async (name, inputs) => (await outputs(name, inputs))[0] as ImageBatch,
    show: async (name, inputs) => (await run(name, inputs)).ui ?? {},
    [Symbol.asyncDispose]: () => rm(root, { recursive: true }),
  };
}

async function makeFolders(root: string): Promise<Folders> {
  const folders = {
    input: join(root, 'input'),
    output: join(root, 'output'),
    temp: join(root, 'temp'),
  };
  await Promise.all(Object.values(folders).map((folder) => mkdir(folder)));
  return folders;
}

export function definitionOf(name: string): NodeDefinition {
  const definition = NODES.get(name);
  if (!definition) throw new Error(`No node is called ${name}`);
  return definition;
}

/** An image of one row, with a pixel for each `[red, green, blue]`. */
export function rowOf(...pixels: readonly (readonly [number, number, number])[]): ImageBatch {
  return { width: pixels.length, height: 1, channels: 3, frames: [Uint8Array.from(pixels.flat())] };
}

/** The bytes of the first frame, as numbers. */
export function bytesOf({ frames }: { readonly frames: readonly Uint8Array[] }): number[] {
  return [...(frames[0] ?? [])];
}
