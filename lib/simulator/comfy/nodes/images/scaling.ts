/** Nodes that resize images, and ComfyUI's resize methods. */

import type { ImageBatch } from '../node.ts';
import { classNode, schemaNode } from '../define-node.ts';
import { choice, float, image, int } from '../inputs.ts';
import { editFrames } from './pixels.ts';

/** sharp's kernel for each method. sharp's `linear` averages when it shrinks, as `area` should. */
const KERNELS = {
  'nearest-exact': 'nearest',
  bilinear: 'linear',
  area: 'linear',
  bicubic: 'cubic',
  bislerp: 'cubic',
  lanczos: 'lanczos3',
} as const;

export type ScaleMethod = keyof typeof KERNELS;
export type CropMode = 'disabled' | 'center';

const METHODS = ['nearest-exact', 'bilinear', 'area', 'bicubic', 'lanczos'] as const;

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Resizes every frame. `center` keeps the proportions and crops the two longer sides. */
export function scaleTo(
  batch: ImageBatch,
  { width, height }: Size,
  { method, crop = 'disabled' }: { readonly method: ScaleMethod; readonly crop?: CropMode },
): Promise<ImageBatch> {
  const cut = crop === 'center' ? centerCut(batch, width / height) : undefined;
  return editFrames(batch, (frame) =>
    (cut ? frame.extract(cut) : frame).resize(width, height, {
      fit: 'fill',
      kernel: KERNELS[method],
    }),
  );
}

/** The largest centered part with the given ratio of width to height. */
function centerCut({ width, height }: Size, ratio: number) {
  const tooWide = width / height > ratio;
  const keptWidth = tooWide ? Math.max(1, Math.round(height * ratio)) : width;
  const keptHeight = tooWide ? height : Math.max(1, Math.round(width / ratio));
  return {
    left: Math.round((width - keptWidth) / 2),
    top: Math.round((height - keptHeight) / 2),
    width: keptWidth,
    height: keptHeight,
  };
}

/** A side of 0 is computed from the other one, in proportion. Two zeros keep the size. */
export function wantedSize(current: Size, { width, height }: Size): Size {
  if (width === 0 && height === 0) return current;
  const proportion = current.width / current.height;
  return {
    width: width === 0 ? Math.max(1, Math.round(height * proportion)) : width,
    height: height === 0 ? Math.max(1, Math.round(width / proportion)) : height,
  };
}

const side = { default: 512, min: 0, max: 16384, step: 1 };

const imageScale = classNode({
  name: 'ImageScale',
  title: 'Upscale Image',
  module: 'nodes',
  category: 'image/upscaling',
  inputs: {
    image: image(),
    upscale_method: choice(METHODS),
    width: int(side),
    height: int(side),
    crop: choice(['disabled', 'center']),
  },
  outputs: ['IMAGE'],
  run: async ({ image, upscale_method: method, width, height, crop }) => {
    const size = wantedSize(image, { width, height });
    return { outputs: [await scaleTo(image, size, { method, crop })] };
  },
});

const imageScaleBy = classNode({
  name: 'ImageScaleBy',
  title: 'Upscale Image By',
  module: 'nodes',
  category: 'image/upscaling',
  inputs: {
    image: image(),
    upscale_method: choice(METHODS),
    scale_by: float({ default: 1, min: 0.01, max: 8, step: 0.01 }),
  },
  outputs: ['IMAGE'],
  run: async ({ image, upscale_method: method, scale_by }) => {
    const size = scaled(image, scale_by);
    return { outputs: [await scaleTo(image, size, { method })] };
  },
});

const imageScaleToTotalPixels = schemaNode({
  name: 'ImageScaleToTotalPixels',
  module: 'comfy_extras.nodes_post_processing',
  category: 'image/upscaling',
  inputs: {
    image: image(),
    upscale_method: choice(METHODS),
    megapixels: float({ default: 1, min: 0.01, max: 16, step: 0.01 }),
    resolution_steps: int({ default: 1, min: 1, max: 256 }),
  },
  outputs: ['IMAGE'],
  run: async ({ image, upscale_method: method, megapixels, resolution_steps: step }) => {
    const factor = Math.sqrt((megapixels * 1024 * 1024) / (image.width * image.height));
    const size = scaled(image, factor, step);
    return { outputs: [await scaleTo(image, size, { method })] };
  },
});

/** Both sides times `factor`, rounded to multiples of `step`. */
export function scaled({ width, height }: Size, factor: number, step = 1): Size {
  const side = (length: number) => Math.max(1, Math.round((length * factor) / step)) * step;
  return { width: side(width), height: side(height) };
}

export const SCALING_NODES = [imageScale, imageScaleBy, imageScaleToTotalPixels];
