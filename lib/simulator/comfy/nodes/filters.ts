/** Blending, blurring and sharpening. */

import type { ImageBatch } from '../node.ts';
import { schemaNode } from './define-node.ts';
import { choice, float, image, int } from './inputs.ts';
import { editFrames } from './pixels.ts';
import { scaleTo } from './scaling.ts';

const MODULE = 'comfy_extras.nodes_post_processing';
const CATEGORY = 'image/postprocessing';

/** How the lower value `a` and the upper value `b`, both 0 to 1, become one. */
const BLEND_MODES = {
  normal: (_a, b) => b,
  multiply: (a, b) => a * b,
  screen: (a, b) => 1 - (1 - a) * (1 - b),
  overlay: (a, b) => (a <= 0.5 ? 2 * a * b : 1 - 2 * (1 - a) * (1 - b)),
  soft_light: (a, b) =>
    b <= 0.5 ? a - (1 - 2 * b) * a * (1 - a) : a + (2 * b - 1) * (softened(a) - a),
  difference: (a, b) => a - b,
} as const satisfies Record<string, (a: number, b: number) => number>;

type BlendMode = keyof typeof BLEND_MODES;

function softened(value: number): number {
  return value <= 0.25 ? ((16 * value - 12) * value + 4) * value : Math.sqrt(value);
}

const imageBlend = schemaNode({
  name: 'ImageBlend',
  module: MODULE,
  category: CATEGORY,
  inputs: {
    image1: image(),
    image2: image(),
    blend_factor: float({ default: 0.5, min: 0, max: 1, step: 0.01 }),
    blend_mode: choice(['normal', 'multiply', 'screen', 'overlay', 'soft_light', 'difference']),
  },
  outputs: ['IMAGE'],
  run: async ({ image1, image2, blend_factor: factor, blend_mode: mode }) => {
    const upper = await scaleTo(image2, image1, { method: 'bicubic', crop: 'center' });
    return { outputs: [blend(image1, upper, { mode, factor })] };
  },
});

/** Of two batches of different length the shorter one must have one frame, which then goes over every other. */
function blend(
  lower: ImageBatch,
  upper: ImageBatch,
  { mode, factor }: { readonly mode: BlendMode; readonly factor: number },
): ImageBatch {
  const lengths = [lower.frames.length, upper.frames.length];
  const length = Math.max(...lengths);
  if (lengths.some((each) => each !== 1 && each !== length)) {
    throw new Error(
      `Batches of ${lengths.join(' and ')} images cannot be blended: make them equally long, or one of them a single image`,
    );
  }
  const table = blendTable(mode, factor);
  const frames = Array.from({ length }, (_, at) =>
    blendFrames(frameAt(lower, at), frameAt(upper, at), table),
  );
  return { ...lower, frames };
}

function frameAt({ frames }: ImageBatch, at: number): Uint8Array {
  return frames[at] ?? frames[0] ?? new Uint8Array();
}

function blendFrames(lower: Uint8Array, upper: Uint8Array, table: Uint8Array): Uint8Array {
  return lower.map((value, at) => table[value * 256 + (upper[at] ?? 0)] ?? 0);
}

/** The result for every pair of bytes: 65,536 of them, far fewer than a picture has. */
function blendTable(mode: BlendMode, factor: number): Uint8Array {
  const mix = BLEND_MODES[mode];
  return Uint8Array.from({ length: 256 * 256 }, (_, pair) => {
    const a = (pair >> 8) / 255;
    const b = (pair & 255) / 255;
    const mixed = a * (1 - factor) + mix(a, b) * factor;
    return Math.round(Math.min(1, Math.max(0, mixed)) * 255);
  });
}

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

interface Kernel {
  readonly width: number;
  readonly height: number;
  readonly weights: readonly number[];
}

/** Beyond the border, pixels count as the border's own; ComfyUI mirrors the picture there. */
function convolve(image: ImageBatch, { width, height, weights }: Kernel): Promise<ImageBatch> {
  return editFrames(image, (frame) =>
    frame.convolve({ width, height, kernel: [...weights], scale: 1, offset: 0 }),
  );
}

/** The bell curve over `2 * radius + 1` pixels, summing to 1. */
function gaussian(radius: number, sigma: number): readonly number[] {
  const curve = Array.from({ length: 2 * radius + 1 }, (_, at) =>
    Math.exp(-((at - radius) ** 2) / (2 * sigma ** 2)),
  );
  const sum = curve.reduce((total, weight) => total + weight, 0);
  return curve.map((weight) => weight / sum);
}

/** A blur in two passes, one per direction. sharp wants at least three rows and columns; the outer ones are zero. */
function alongRows(weights: readonly number[]): Kernel {
  const none = weights.map(() => 0);
  return { width: weights.length, height: 3, weights: [...none, ...weights, ...none] };
}

function alongColumns(weights: readonly number[]): Kernel {
  return { width: 3, height: weights.length, weights: weights.flatMap((weight) => [0, weight, 0]) };
}

/** Takes `strength` times the blurred picture away and adds as much of the sharp one: the sum stays 1. */
function sharpening(weights: readonly number[], strength: number): Kernel {
  const blur = weights.flatMap((row) => weights.map((column) => -strength * row * column));
  const middle = (blur.length - 1) / 2;
  return {
    width: weights.length,
    height: weights.length,
    weights: blur.map((weight, at) => (at === middle ? weight + strength + 1 : weight)),
  };
}

export const FILTER_NODES = [imageBlend, imageBlur, imageSharpen];
