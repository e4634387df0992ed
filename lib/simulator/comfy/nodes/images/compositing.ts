/** Nodes that combine images: compositing, stitching, padding. */

import sharp from 'sharp';
import type { ImageBatch, NodeResult } from '../node.ts';
import { classNode, schemaNode } from '../define-node.ts';
import { boolean, choice, image, int, mask } from '../inputs.ts';
import { plainImage, repeated } from './pixels.ts';
import { scaleTo, type Size } from './scaling.ts';
import type { MaskBatch } from '../values.ts';

interface Place {
  readonly x: number;
  readonly y: number;
}

const compositeMasked = schemaNode({
  name: 'ImageCompositeMasked',
  module: 'comfy_extras.nodes_mask',
  category: 'image',
  inputs: {
    destination: image(),
    source: image(),
    x: int({ default: 0, min: 0, max: 16384, step: 1 }),
    y: int({ default: 0, min: 0, max: 16384, step: 1 }),
    resize_source: boolean({ default: false }),
  },
  optional: { mask: mask() },
  outputs: ['IMAGE'],
  run: async ({ destination, source, x, y, resize_source, mask }): Promise<NodeResult> => {
    const fitting = resize_source ? await resized(source, destination) : source;
    const alpha = mask && (await resizedMask(mask, fitting));
    return { outputs: [pasted(destination, fitting, { place: { x, y }, mask: alpha })] };
  },
});

const resized = (batch: ImageBatch, size: Size) => scaleTo(batch, size, { method: 'bilinear' });

async function resizedMask({ frames, ...size }: MaskBatch, to: Size): Promise<MaskBatch> {
  const { width, height } = to;
  const scale = (frame: Uint8Array) =>
    sharp(frame, { raw: { ...size, channels: 1 } })
      .resize(width, height, { fit: 'fill', kernel: 'linear' })
      .extractChannel(0)
      .raw()
      .toBuffer();
  return { width, height, frames: await Promise.all(frames.map(scale)) };
}

/** Draws `source` over `target`, with its upper left corner at `place`, cropped to the target. Frames are paired cyclically. */
function pasted(
  target: ImageBatch,
  source: ImageBatch,
  { place, mask }: { readonly place: Place; readonly mask?: MaskBatch | undefined },
): ImageBatch {
  const frames = target.frames.map((frame, at) =>
    pasteFrame({ ...target, frame }, frameOf(source, at), { place, alpha: turn(mask?.frames, at) }),
  );
  return { ...target, frames };
}

interface Frame extends Size {
  readonly channels: 3 | 4;
  readonly frame: Uint8Array;
}

const frameOf = ({ frames, ...shape }: ImageBatch, at: number): Frame => ({
  ...shape,
  frame: turn(frames, at) ?? new Uint8Array(),
});

const turn = <T>(items: readonly T[] | undefined, at: number) => items?.[at % items.length];

function pasteFrame(
  target: Frame,
  source: Frame,
  { place: { x, y }, alpha }: { readonly place: Place; readonly alpha: Uint8Array | undefined },
): Uint8Array {
  const pixels = Uint8Array.from(target.frame);
  const width = Math.min(source.width, target.width - x);
  const height = Math.min(source.height, target.height - y);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const from = row * source.width + column;
      const to = ((y + row) * target.width + x + column) * target.channels;
      const share = (alpha?.[from] ?? 255) / 255;
      for (let channel = 0; channel < 3; channel++) {
        const over = source.frame[from * source.channels + channel] ?? 0;
        const under = pixels[to + channel] ?? 0;
        pixels[to + channel] = Math.round(under + (over - under) * share);
      }
    }
  }
  return pixels;
}

const COLORS = { white: 0xffffff, black: 0, red: 0xff0000, green: 0xff00, blue: 0xff } as const;

const imageStitch = schemaNode({
  name: 'ImageStitch',
  title: 'Image Stitch',
  module: 'comfy_extras.nodes_images',
  category: 'image/transform',
  inputs: {
    image1: image(),
    direction: choice(['right', 'down', 'left', 'up'], { default: 'right' }),
    match_image_size: boolean({ default: true }),
    spacing_width: int({ default: 0, min: 0, max: 1024, step: 2 }),
    spacing_color: choice(['white', 'black', 'red', 'green', 'blue'], { default: 'white' }),
  },
  optional: { image2: image() },
  outputs: ['IMAGE'],
  run: async ({ image1, image2, direction, match_image_size, spacing_width, spacing_color }) => {
    if (!image2) return { outputs: [image1] };
    const beside = direction === 'left' || direction === 'right';
    const second = match_image_size ? await matched(image2, { to: image1, beside }) : image2;
    const pair =
      direction === 'right' || direction === 'down' ? [image1, second] : [second, image1];
    const spacing = { width: spacing_width, color: COLORS[spacing_color] };
    return { outputs: [stitched(pair, { beside, spacing })] };
  },
});

/** Resizes proportionally to the other image's height or width. */
function matched(
  batch: ImageBatch,
  { to, beside }: { readonly to: Size; readonly beside: boolean },
): Promise<ImageBatch> {
  const factor = beside ? to.height / batch.height : to.width / batch.width;
  const size = beside
    ? { width: Math.max(1, Math.trunc(batch.width * factor)), height: to.height }
    : { width: to.width, height: Math.max(1, Math.trunc(batch.height * factor)) };
  return scaleTo(batch, size, { method: 'lanczos' });
}

interface Stitching {
  readonly beside: boolean;
  readonly spacing: { readonly width: number; readonly color: number };
}

/** A smaller image is centered on black. */
function stitched(pair: readonly ImageBatch[], { beside, spacing }: Stitching): ImageBatch {
  const sum = (sizes: number[]) => sizes.reduce((total, size) => total + size, spacing.width);
  const widths = pair.map(({ width }) => width);
  const heights = pair.map(({ height }) => height);
  const width = beside ? sum(widths) : Math.max(...widths);
  const height = beside ? Math.max(...heights) : sum(heights);
  const count = Math.max(...pair.map(({ frames }) => frames.length));
  let canvas = repeated(plainImage(width, height, 0), count);
  let at = 0;
  for (const [index, part] of pair.entries()) {
    const place = beside
      ? { x: at, y: Math.floor((height - part.height) / 2) }
      : { x: Math.floor((width - part.width) / 2), y: at };
    canvas = pasted(canvas, part, { place });
    at += beside ? part.width : part.height;
    if (index > 0 || spacing.width === 0) continue;
    const strip = beside
      ? plainImage(spacing.width, height, spacing.color)
      : plainImage(width, spacing.width, spacing.color);
    canvas = pasted(canvas, strip, { place: beside ? { x: at, y: 0 } : { x: 0, y: at } });
    at += spacing.width;
  }
  return canvas;
}

const padding = () => int({ default: 0, min: 0, max: 16384, step: 8 });

const padForOutpaint = classNode({
  name: 'ImagePadForOutpaint',
  title: 'Pad Image for Outpainting',
  module: 'nodes',
  category: 'image',
  inputs: {
    image: image(),
    left: padding(),
    top: padding(),
    right: padding(),
    bottom: padding(),
    feathering: int({ default: 40, min: 0, max: 16384, step: 1 }),
  },
  outputs: ['IMAGE', 'MASK'],
  run: ({ image, feathering, ...sides }) => {
    const width = image.width + sides.left + sides.right;
    const height = image.height + sides.top + sides.bottom;
    const grey = repeated(plainImage(width, height, 0x7f7f7f), image.frames.length);
    const place = { x: sides.left, y: sides.top };
    const mask = outpaintMask(image, { ...sides, feathering });
    return { outputs: [pasted(grey, image, { place }), mask] };
  },
});

type Sides = Readonly<Record<'left' | 'top' | 'right' | 'bottom', number>>;

/** The mask of the padded area. It fades in over `feathering` pixels of the image, unless the image is too small. */
function outpaintMask(
  { width, height }: Size,
  { feathering, ...sides }: Sides & { readonly feathering: number },
): MaskBatch {
  const whole = {
    width: width + sides.left + sides.right,
    height: height + sides.top + sides.bottom,
  };
  const mask = new Uint8Array(whole.width * whole.height).fill(255);
  const fades = feathering > 0 && 2 * feathering < Math.min(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const distance = Math.min(
        sides.left > 0 ? x : width,
        sides.right > 0 ? width - x : width,
        sides.top > 0 ? y : height,
        sides.bottom > 0 ? height - y : height,
      );
      const share = fades ? Math.max(0, 1 - distance / feathering) ** 2 : 0;
      mask[(y + sides.top) * whole.width + x + sides.left] = Math.round(255 * share);
    }
  }
  return { ...whole, frames: [mask] };
}

export const COMPOSITING_NODES = [compositeMasked, imageStitch, padForOutpaint];
