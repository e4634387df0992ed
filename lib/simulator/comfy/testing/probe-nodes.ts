import { existsSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { ProcessCrash, type ImageBatch, type NodeDefinition } from '../nodes/node.ts';
import type { InputSpec, NodeInfo } from '../nodes/node-info.ts';
import { findOutputPlace } from '../nodes/output-files.ts';

/**
 * Node classes for tests: five that the recordings use, and further ones that misbehave.
 *
 * | class         | does                                                                          |
 * | ------------- | ----------------------------------------------------------------------------- |
 * | ProbeSampler  | works `step_ms` per step with progress and a preview, then adds seeded noise  |
 * | ProbeFail     | raises `RuntimeError(message)`                                                |
 * | ProbeCrash    | ends the process                                                              |
 * | ProbeVideo    | writes an `.mp4` and shows it under `gifs`, as VHS_VideoCombine does          |
 * | ProbeText     | shows `{"text": [text]}`                                                      |
 * | ProbeSleep    | works `ms` without progress, so that it cannot be interrupted                 |
 * | ProbeOutOfMemory | raises what torch raises when the GPU is full                              |
 * | ProbeBlock    | blocks all downstream nodes, with `message` unless it is empty                |
 * | ProbeNaN      | shows a number JSON cannot hold                                               |
 * | ProbeSilent   | an output node that shows nothing                                             |
 * | ProbeValue    | shows the INT value it received and its JavaScript type                       |
 */
export const PROBE_NODES: ReadonlyMap<string, NodeDefinition> = new Map([
  probe('ProbeSampler', {
    inputs: { image: ['IMAGE'], steps: int(3), step_ms: int(30), seed: int(0) },
    output: ['IMAGE'],
    async execute({ image, steps, step_ms: stepMs, seed }, context) {
      for (let step = 1; step <= Number(steps); step++) {
        await context.work(Number(stepMs));
        await context.progress(step, Number(steps), await previewJpeg(step));
      }
      return { outputs: [withNoise(image as ImageBatch, Number(seed))] };
    },
  }),
  probe('ProbeFail', {
    inputs: { image: ['IMAGE'], message: text('failed') },
    output: ['IMAGE'],
    execute: ({ message }) => raise('RuntimeError', String(message)),
  }),
  probe('ProbeCrash', {
    inputs: { image: ['IMAGE'] },
    output: ['IMAGE'],
    execute: () => {
      throw new ProcessCrash('Process ended with code 137');
    },
  }),
  probe('ProbeVideo', {
    inputs: { image: ['IMAGE'], filename_prefix: text('vid') },
    output: [],
    isOutput: true,
    async execute({ image, filename_prefix: prefix }, { folders }) {
      const { width, height } = image as ImageBatch;
      const place = await findOutputPlace(folders.output, {
        ...{ width, height },
        prefix: String(prefix),
      });
      const stem = place.nextName(0).replace(/_$/, '');
      const filename = `${stem}.mp4`;
      const fullpath = join(place.folder, filename);
      await writeFile(fullpath, 'not really a video');
      const format = { format: 'video/h264-mp4', frame_rate: 8, workflow: `${stem}.png` };
      const item = { filename, subfolder: place.subfolder, type: 'output', ...format, fullpath };
      return { ui: { gifs: [item] } };
    },
  }),
  probe('ProbeText', {
    inputs: { text: text('') },
    output: [],
    isOutput: true,
    execute: ({ text: shown }) => ({ ui: { text: [shown] } }),
  }),
  probe('ProbeSleep', {
    inputs: { image: ['IMAGE'], ms: int(1000) },
    output: ['IMAGE'],
    async execute({ image, ms }, context) {
      await context.work(Number(ms));
      return { outputs: [image] };
    },
  }),
  probe('ProbeOutOfMemory', {
    inputs: { image: ['IMAGE'] },
    output: ['IMAGE'],
    execute: () => raise('torch.OutOfMemoryError', 'CUDA out of memory (simulated)'),
  }),
  probe('ProbeBlock', {
    inputs: { image: ['IMAGE'], message: text('') },
    output: ['IMAGE'],
    execute: ({ message }) => ({
      outputs: [{ blocked: true, ...(message === '' ? {} : { message }) }],
    }),
  }),
  probe('ProbeNaN', {
    inputs: {},
    output: [],
    isOutput: true,
    execute: () => ({ ui: { score: [NaN, -Infinity] } }),
  }),
  probe('ProbeSilent', {
    inputs: { image: ['IMAGE'] },
    output: [],
    isOutput: true,
    execute: () => ({}),
  }),
  probe('ProbeValue', {
    inputs: { value: ['INT', { min: 0, max: 2n ** 64n - 1n }] },
    output: [],
    isOutput: true,
    execute: ({ value }) => ({ ui: { text: [`${typeof value} ${String(value)}`] } }),
  }),
]);

interface Probe {
  readonly inputs: Readonly<Record<string, InputSpec>>;
  readonly output: readonly string[];
  readonly isOutput?: boolean;
  readonly execute: NodeDefinition['execute'];
}

/**
 * Node classes that harm the process they run in. Only for a ComfyUI in a process of its own.
 *
 * | class        | does                                                                    |
 * | ------------ | ----------------------------------------------------------------------- |
 * | ProbeKill    | kills the process with SIGKILL; only once for one `marker` (a file)     |
 * | ProbeExecutor| prints what Python prints when ComfyUI's executor thread dies, and hangs|
 * | ProbeFailOnce| raises `RuntimeError(message)`; only once for one `marker`               |
 * | ProbeSpin    | blocks the whole process for `ms`, with the processor at work           |
 */
export const MISBEHAVING_NODES: ReadonlyMap<string, NodeDefinition> = new Map([
  probe('ProbeKill', {
    inputs: { image: ['IMAGE'], marker: text('') },
    output: ['IMAGE'],
    execute: ({ image, marker }) => {
      const isDone = String(marker) !== '' && existsSync(String(marker));
      if (String(marker) !== '') writeFileSync(String(marker), '');
      if (!isDone) process.kill(process.pid, 'SIGKILL');
      return { outputs: [image] };
    },
  }),
  probe('ProbeExecutor', {
    inputs: { image: ['IMAGE'], marker: text('') },
    output: ['IMAGE'],
    execute: async ({ image, marker }) => {
      if (existsSync(String(marker))) return { outputs: [image] };
      writeFileSync(String(marker), '');
      process.stderr.write('Exception in thread Thread-2 (prompt_worker):\n');
      return await new Promise<never>(() => undefined);
    },
  }),
  probe('ProbeFailOnce', {
    inputs: { image: ['IMAGE'], message: text('failed'), marker: text('') },
    output: ['IMAGE'],
    execute: ({ image, message, marker }) => {
      if (existsSync(String(marker))) return { outputs: [image] };
      writeFileSync(String(marker), '');
      return raise('RuntimeError', String(message));
    },
  }),
  probe('ProbeSpin', {
    inputs: { image: ['IMAGE'], ms: int(0) },
    output: ['IMAGE'],
    execute: ({ image, ms }) => {
      const until = performance.now() + Number(ms);
      while (performance.now() < until);
      return { outputs: [image] };
    },
  }),
]);

function probe(
  name: string,
  { inputs, output, isOutput = false, execute }: Probe,
): [string, NodeDefinition] {
  const info: NodeInfo = {
    input: { required: inputs },
    input_order: { required: Object.keys(inputs) },
    output,
    output_is_list: output.map(() => false),
    output_name: output,
    name,
    display_name: name,
    description: '',
    python_module: 'custom_nodes.probe',
    category: 'probe',
    output_node: isOutput,
  };
  return [name, { info: () => info, execute }];
}

function int(initial: number): InputSpec {
  return ['INT', { default: initial, min: 0, max: 2 ** 31 }];
}

function text(initial: string): InputSpec {
  return ['STRING', { default: initial }];
}

function raise(type: string, message: string): never {
  const error = new Error(message);
  error.name = type;
  throw error;
}

/** A preview of 64x64, with another shade at each step. */
function previewJpeg(step: number): Promise<Buffer> {
  const known = PREVIEWS.get(step % 16);
  if (known) return known;
  const shade = 16 * (step % 16);
  const background = { r: shade, g: 128, b: 255 - shade };
  const made = sharp({ create: { width: 64, height: 64, channels: 3, background } })
    .jpeg()
    .toBuffer();
  PREVIEWS.set(step % 16, made);
  return made;
}

const PREVIEWS = new Map<number, Promise<Buffer>>();

function withNoise(image: ImageBatch, seed: number): ImageBatch {
  let state = (seed + 1) >>> 0;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24;
  const frames = image.frames.map((frame) => frame.map((value) => (value + next()) & 0xff));
  return { ...image, frames };
}
