/** Nodes that blur, sharpen and quantize images. */

import sharp from 'sharp';
import type { ImageBatch } from '../node.ts';
import { schemaNode } from '../define-node.ts';
import { choice, float, image, int } from '../inputs.ts';
import { openFrame } from './pixels.ts';

const MODULE = 'comfy_extras.nodes_post_processing';
const CATEGORY = 'image/postprocessing';

const imageBlur = schemaNode({
  name: 'ImageBlur',
  module: MODULE,
  category: CATEGORY,
  inputs: {
    image: image(),
    blur_radius: int({ default: 1, min: 1, max: 31, step: 1 }),
    sigma: float({ default: 1, min: 0.1, max: 10, step: 0.1 }),
  },
  outputs: ['IMAGE'],
  run: async ({ image, blur_radius, sigma }) => {
    const weights = gaussian(blur_radius, sigma);
    const across = await convolve(image, alongRows(weights));
    return { outputs: [await convolve(across, alongColumns(weights))] };
  },
});

const imageSharpen = schemaNode({
  name: 'ImageSharpen',
  module: MODULE,
  category: CATEGORY,
  inputs: {
    image: image(),
    sharpen_radius: int({ default: 1, min: 1, max: 31, step: 1 }),
    sigma: float({ default: 1, min: 0.1, max: 10, step: 0.01 }),
    alpha: float({ default: 1, min: 0, max: 5, step: 0.01 }),
  },
  outputs: ['IMAGE'],
  run: async ({ image, sharpen_radius, sigma, alpha }) => {
    const kernel = sharpening(gaussian(sharpen_radius, sigma), alpha * 10);
    return { outputs: [await convolve(image, kernel)] };
  },
});

/** Bayer patterns are approximate: sharp only has error diffusion, with an adjustable strength. */
const imageQuantize = schemaNode({
  name: 'ImageQuantize',
  module: MODULE,
  category: CATEGORY,
  inputs: {
    image: image(),
    colors: int({ default: 256, min: 1, max: 256, step: 1 }),
    dither: choice(['none', 'floyd-steinberg', 'bayer-2', 'bayer-4', 'bayer-8', 'bayer-16']),
  },
  outputs: ['IMAGE'],
  run: async ({ image, colors, dither }) => {
    const options = { palette: true, colours: Math.max(2, colors), dither: +(dither !== 'none') };
    const frames = image.frames.map(async (frame) => {
      const png = await openFrame(image, frame).png(options).toBuffer();
      return sharp(png).toColourspace('srgb').removeAlpha().raw().toBuffer();
    });
    return { outputs: [{ ...image, channels: 3, frames: await Promise.all(frames) }] };
  },
});

interface Kernel {
  readonly width: number;
  readonly height: number;
  readonly weights: readonly number[];
}

/**
 * The border's pixels are repeated outside the image; ComfyUI mirrors it instead. sharp would truncate fractions, which
 * darkens the image; so it returns floats, which are rounded here.
 */
async function convolve(
  image: ImageBatch,
  { width, height, weights }: Kernel,
): Promise<ImageBatch> {
  const frames = image.frames.map(async (frame) => {
    const filtered = await openFrame(image, frame)
      .convolve({ width, height, kernel: [...weights], scale: 1, offset: 0 })
      .raw({ depth: 'float' })
      .toBuffer();
    return Uint8Array.from(new Float32Array(Uint8Array.from(filtered).buffer), toByte);
  });
  return { ...image, frames: await Promise.all(frames) };
}

function toByte(value: number): number {
  return Math.min(255, Math.max(0, Math.round(value)));
}

/** A Gaussian kernel of `2 * radius + 1` values, with the sum 1. */
function gaussian(radius: number, sigma: number): readonly number[] {
  const curve = Array.from({ length: 2 * radius + 1 }, (_, at) =>
    Math.exp(-((at - radius) ** 2) / (2 * sigma ** 2)),
  );
  const sum = curve.reduce((total, weight) => total + weight, 0);
  return curve.map((weight) => weight / sum);
}

/** A blur in two passes, one per direction. sharp requires at least 3x3 kernels, so the outer rows or columns are zero. */
function alongRows(weights: readonly number[]): Kernel {
  const none = weights.map(() => 0);
  return { width: weights.length, height: 3, weights: [...none, ...weights, ...none] };
}

function alongColumns(weights: readonly number[]): Kernel {
  return { width: 3, height: weights.length, weights: weights.flatMap((weight) => [0, weight, 0]) };
}

/** Subtracts `strength` times the blurred image and adds as much of the original; the kernel's sum stays 1. */
function sharpening(weights: readonly number[], strength: number): Kernel {
  const blur = weights.flatMap((row) => weights.map((column) => -strength * row * column));
  const middle = (blur.length - 1) / 2;
  return {
    width: weights.length,
    height: weights.length,
    weights: blur.map((weight, at) => (at === middle ? weight + strength + 1 : weight)),
  };
}

export const FILTER_NODES = [imageBlur, imageSharpen, imageQuantize];
