/** Nodes that create, encode, scale and decode latents. */

import type { ImageBatch } from '../node.ts';
import { drawCaption } from '../drawing/caption.ts';
import { classNode, schemaNode } from '../define-node.ts';
import { choice, float, image, int, latent, vae } from '../inputs.ts';
import { plainImage, repeated } from '../images/pixels.ts';
import {
  scaled,
  scaleTo,
  wantedSize,
  type CropMode,
  type ScaleMethod,
  type Size,
} from '../images/scaling.ts';
import type { Latent } from '../values.ts';

/** Image pixels per latent value, in each direction. */
const GRAIN = 8;

const batchSize = () => int({ default: 1, min: 1, max: 4096 });

const emptyLatentImage = classNode({
  name: 'EmptyLatentImage',
  title: 'Empty Latent Image',
  module: 'nodes',
  category: 'latent',
  inputs: {
    width: int({ default: 512, min: 16, max: 16384, step: 8 }),
    height: int({ default: 512, min: 16, max: 16384, step: 8 }),
    batch_size: batchSize(),
  },
  outputs: ['LATENT'],
  run: ({ width, height, batch_size }) => ({
    outputs: [emptyLatent({ width, height }, batch_size)],
  }),
});

const emptySd3LatentImage = schemaNode({
  name: 'EmptySD3LatentImage',
  module: 'comfy_extras.nodes_sd3',
  category: 'latent/sd3',
  inputs: {
    width: int({ default: 1024, min: 16, max: 16384, step: 16 }),
    height: int({ default: 1024, min: 16, max: 16384, step: 16 }),
    batch_size: batchSize(),
  },
  outputs: ['LATENT'],
  run: ({ width, height, batch_size }) => ({
    outputs: [emptyLatent({ width, height }, batch_size)],
  }),
});

function emptyLatent(size: Size, batchSize: number): Latent {
  return { ...wholeGrains(size), batchSize };
}

/** Crops the image to whole latent values, like ComfyUI. */
function wholeGrains({ width, height }: Size): Size {
  const whole = (length: number) => Math.max(GRAIN, length - (length % GRAIN));
  return { width: whole(width), height: whole(height) };
}

const vaeEncode = classNode({
  name: 'VAEEncode',
  title: 'VAE Encode',
  module: 'nodes',
  category: 'latent',
  inputs: { pixels: image(), vae: vae() },
  outputs: ['LATENT'],
  run: async ({ pixels }) => ({ outputs: [await encodeLatent(pixels)] }),
});

/** A latent that contains the image, cropped to whole latent values. */
export async function encodeLatent(pixels: ImageBatch): Promise<Latent> {
  const size = wholeGrains(pixels);
  const picture = await scaleTo(pixels, size, { method: 'bilinear', crop: 'center' });
  return { ...size, batchSize: picture.frames.length, picture };
}

const vaeDecode = classNode({
  name: 'VAEDecode',
  title: 'VAE Decode',
  module: 'nodes',
  category: 'latent',
  inputs: { samples: latent({}), vae: vae({}) },
  outputs: ['IMAGE'],
  run: ({ samples }) => ({ outputs: [decodeLatent(samples)] }),
});

/** A latent that was never sampled decodes to plain grey. */
export function decodeLatent({ width, height, batchSize, picture, caption }: Latent): ImageBatch {
  const decoded = picture ?? repeated(plainImage(width, height, 0x807a72), batchSize);
  return drawCaption(decoded, caption ?? ['SIMULATED']);
}

const METHODS = ['nearest-exact', 'bilinear', 'area', 'bicubic', 'bislerp'] as const;

const latentUpscale = classNode({
  name: 'LatentUpscale',
  title: 'Upscale Latent',
  module: 'nodes',
  category: 'latent',
  inputs: {
    samples: latent(),
    upscale_method: choice(METHODS),
    width: int({ default: 512, min: 0, max: 16384, step: 8 }),
    height: int({ default: 512, min: 0, max: 16384, step: 8 }),
    crop: choice(['disabled', 'center']),
  },
  outputs: ['LATENT'],
  run: async ({ samples, upscale_method: method, width, height, crop }) => {
    const size = wantedSize(samples, { width, height });
    return { outputs: [await resizeLatent(samples, size, { method, crop })] };
  },
});

const latentUpscaleBy = classNode({
  name: 'LatentUpscaleBy',
  title: 'Upscale Latent By',
  module: 'nodes',
  category: 'latent',
  inputs: {
    samples: latent(),
    upscale_method: choice(METHODS),
    scale_by: float({ default: 1.5, min: 0.01, max: 8, step: 0.01 }),
  },
  outputs: ['LATENT'],
  run: async ({ samples, upscale_method: method, scale_by }) => ({
    outputs: [await resizeLatent(samples, scaled(samples, scale_by, GRAIN), { method })],
  }),
});

async function resizeLatent(
  latent: Latent,
  size: Size,
  how: { readonly method: ScaleMethod; readonly crop?: CropMode },
): Promise<Latent> {
  const whole = wholeGrains(size);
  if (!latent.picture) return { ...latent, ...whole };
  return { ...latent, ...whole, picture: await scaleTo(latent.picture, whole, how) };
}

export const LATENT_NODES = [
  emptyLatentImage,
  emptySd3LatentImage,
  vaeEncode,
  vaeDecode,
  latentUpscale,
  latentUpscaleBy,
];
