/** Nodes that create, batch and sample latents, beside those that are declared by hand. */

import { sample } from '../drawing/sample.ts';
import { decodeLatent, encodeLatent } from '../models/latents.ts';
import { isLatent } from '../recorded/neutral.ts';
import type { ImageBatch } from '../node.ts';
import type { Conditioning, Latent, MaskBatch, Model, Sigmas } from '../values.ts';
import type { Behaviour, Behaviours, Given } from './given.ts';
import { batchImages, batchMasks } from './batches.ts';

const decode: Behaviour = (given) => [decodeLatent(given.latent('samples'))];
const encode: Behaviour = async (given) => [await encodeLatent(given.image('pixels'))];

export const LATENT_BEHAVIOURS: Behaviours = {
  VAEDecodeTiled: decode,
  VAEEncodeTiled: encode,
  VAEEncodeForInpaint: encode,
  SetLatentNoiseMask: (given) => [given.latent('samples')],
  RepeatLatentBatch: (given) => {
    const latent = given.latent('samples');
    return [batch(Array.from({ length: given.number('amount') }, () => latent))];
  },
  LatentBatch: (given) => [batch([given.latent('samples1'), given.latent('samples2')])],
  BatchLatentsNode: (given) => [batch(given.elements('latents'))],
  BatchImagesMasksLatentsNode: async (given) => {
    const [first, ...rest] = given.elements<Latent | ImageBatch | MaskBatch>('inputs');
    const all = [first, ...rest];
    if (isLatent(first)) return [batch(all as Latent[])];
    const isImages = typeof first === 'object' && 'channels' in first;
    return [
      isImages ? await batchImages(all as ImageBatch[]) : await batchMasks(all as MaskBatch[]),
    ];
  },
  LatentFromBatch: (given) => {
    const latent = given.latent('samples');
    const first = Math.min(given.number('batch_index'), latent.batchSize - 1);
    const length = Math.min(given.number('length'), latent.batchSize - first);
    return [part(latent, first, length)];
  },
  RebatchLatents: (given) => {
    const latents = given.value('latents') as readonly Latent[];
    const [size = 1] = (given.value('batch_size') as readonly unknown[]).map(Number);
    return [latents.flatMap((latent) => split(latent, size))];
  },
  SamplerCustom: sampleCustom,
  ManualSigmas: (given) => [
    { steps: (given.text('sigmas').match(/[\d.]+/g)?.length ?? 1) - 1, denoise: 1 },
  ],
  SplitSigmas: (given) => {
    const { steps, denoise } = given.value('sigmas') as Sigmas;
    const first = Math.min(given.number('step'), steps);
    return [
      { steps: first, denoise },
      { steps: steps - first, denoise: steps === 0 ? 0 : (denoise * (steps - first)) / steps },
    ];
  },
};

async function sampleCustom(given: Given, context: Parameters<Behaviour>[1]) {
  const sampled = await sample(
    given.latent('latent_image'),
    {
      model: given.value('model') as Model,
      positive: given.value('positive') as Conditioning,
      seed: BigInt(given.value('noise_seed') as number | bigint),
      ...(given.value('sigmas') as Sigmas),
    },
    context,
  );
  return [sampled, sampled];
}

/** All latents in one batch, in the size of the first; pictures of another size are left out. */
function batch(latents: readonly Latent[]): Latent {
  const [first] = latents;
  if (!first) throw new Error('A batch needs at least one latent');
  const fitting = latents.filter(
    ({ width, height }) => width === first.width && height === first.height,
  );
  const batchSize = fitting.reduce((total, latent) => total + latent.batchSize, 0);
  const frames = fitting.flatMap(({ picture }) => picture?.frames ?? []);
  const { picture, ...rest } = first;
  return picture && frames.length === batchSize
    ? { ...rest, batchSize, picture: { ...picture, frames } }
    : { ...rest, batchSize };
}

function part({ picture, ...latent }: Latent, first: number, length: number): Latent {
  if (!picture) return { ...latent, batchSize: length };
  const frames = picture.frames.slice(first, first + length);
  return { ...latent, batchSize: length, picture: { ...picture, frames } };
}

const split = (latent: Latent, size: number) =>
  Array.from({ length: Math.ceil(latent.batchSize / size) }, (_, at) =>
    part(latent, at * size, Math.min(size, latent.batchSize - at * size)),
  );
