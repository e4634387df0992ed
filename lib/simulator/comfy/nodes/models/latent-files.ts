/**
 * SaveLatent and LoadLatent, with safetensors files like ComfyUI's. The latent values are all zero; the picture of a
 * simulated latent is stored in a tensor of its own.
 */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { classNode } from '../define-node.ts';
import { checkInputFile, hashInputFile, inputFile, listInputFiles } from '../input-files.ts';
import { hostChoice, latent, text } from '../inputs.ts';
import { describeOrigin, findOutputPlace } from '../output-files.ts';
import type { Latent } from '../values.ts';

const saveLatent = classNode({
  name: 'SaveLatent',
  module: 'nodes',
  category: '_for_testing',
  inputs: { samples: latent(), filename_prefix: text({ default: 'latents/ComfyUI' }) },
  hidden: ['prompt', 'extra_pnginfo'],
  shows: true,
  run: async ({ samples, filename_prefix: prefix }, context) => {
    const place = await findOutputPlace(context.folders.output, { ...samples, prefix });
    const filename = `${place.nextName(0)}.latent`;
    const metadata = Object.fromEntries(describeOrigin(context));
    const file = encodeSafetensors(tensorsOf(samples), metadata);
    await writeFile(join(place.folder, filename), file);
    return { ui: { latents: [{ filename, subfolder: place.subfolder, type: 'output' }] } };
  },
});

const loadLatent = classNode({
  name: 'LoadLatent',
  module: 'nodes',
  category: '_for_testing',
  inputs: {
    latent: hostChoice(async (host) =>
      (await listInputFiles(host)).filter((name) => name.endsWith('.latent')),
    ),
  },
  outputs: ['LATENT'],
  run: async ({ latent }, { folders }) => {
    const file = await readFile(inputFile(latent, folders));
    return { outputs: [latentOf(decodeSafetensors(file))] };
  },
  validate: checkInputFile('latent', 'latent'),
  fingerprint: hashInputFile('latent'),
});

/** Four values for each square of 8x8 pixels. */
const GRAIN = 8;
const DEPTH = 4;

function tensorsOf({
  width,
  height,
  batchSize,
  channels = DEPTH,
  picture,
}: Latent): Record<string, Tensor> {
  const shape = [batchSize, channels, height / GRAIN, width / GRAIN];
  const bytes = new Uint8Array(4 * shape.reduce((product, length) => product * length));
  return {
    latent_tensor: { dtype: 'F32', shape, bytes },
    latent_format_version_0: { dtype: 'F32', shape: [0], bytes: new Uint8Array() },
    ...(picture
      ? {
          simulated_picture: {
            dtype: 'U8',
            shape: [picture.frames.length, height, width, picture.channels],
            bytes: Buffer.concat(picture.frames),
          },
        }
      : {}),
  };
}

function latentOf({ latent_tensor, simulated_picture }: Record<string, Tensor>): Latent {
  const [batchSize = 1, , rows = 1, columns = 1] = latent_tensor?.shape ?? [];
  const size = { width: columns * GRAIN, height: rows * GRAIN };
  if (!simulated_picture) return { ...size, batchSize };
  const { shape, bytes } = simulated_picture;
  const channels = shape[3] === 4 ? 4 : 3;
  const length = size.width * size.height * channels;
  const frames = Array.from({ length: shape[0] ?? 0 }, (_, at) =>
    bytes.subarray(at * length, (at + 1) * length),
  );
  return { ...size, batchSize, picture: { ...size, channels, frames } };
}

export const LATENT_FILE_NODES = [saveLatent, loadLatent];

/** The safetensors format: length of the header, header as JSON, concatenated tensors. */

interface Tensor {
  readonly dtype: 'F32' | 'U8';
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export function encodeSafetensors(
  tensors: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>>,
): Buffer {
  let at = 0;
  const described = Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => {
    const data_offsets = [at, (at += bytes.length)];
    return [name, { dtype, shape, data_offsets }] as const;
  });
  const header = { __metadata__: metadata, ...Object.fromEntries(described) };
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...Object.values(tensors).map(({ bytes }) => bytes)]);
}

/** @throws SyntaxError or RangeError if the file is not a safetensors file. */
function decodeSafetensors(file: Buffer): Record<string, Tensor> {
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, start)) as Record<string, DescribedTensor>;
  const tensors = Object.entries(header).filter(([name]) => name !== '__metadata__');
  return Object.fromEntries(
    tensors.map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => [name, { dtype, shape, bytes: file.subarray(start + from, start + to) }],
    ),
  );
}

interface DescribedTensor extends Omit<Tensor, 'bytes'> {
  readonly data_offsets: readonly [number, number];
}
