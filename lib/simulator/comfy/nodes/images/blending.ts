/** The ImageBlend node and its blend modes. */

import type { ImageBatch } from '../node.ts';
import { schemaNode } from '../define-node.ts';
import { choice, float, image } from '../inputs.ts';
import { scaleTo } from './scaling.ts';

/** Blends the lower value `a` with the upper value `b`, both 0 to 1. */
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

export const imageBlend = schemaNode({
  name: 'ImageBlend',
  module: 'comfy_extras.nodes_post_processing',
  category: 'image/postprocessing',
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

/** If the batches have different lengths, one of them must have one frame, which is used for all. */
export function blend(
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

/** A lookup table for all 65,536 pairs of bytes, fewer than an image has pixels. */
function blendTable(mode: BlendMode, factor: number): Uint8Array {
  const mix = BLEND_MODES[mode];
  return Uint8Array.from({ length: 256 * 256 }, (_, pair) => {
    const a = (pair >> 8) / 255;
    const b = (pair & 255) / 255;
    const mixed = a * (1 - factor) + mix(a, b) * factor;
    return Math.round(Math.min(1, Math.max(0, mixed)) * 255);
  });
}
