/** Conversion of image batches to and from sharp, and simple operations on their bytes. */

import sharp, { type Sharp } from 'sharp';
import type { ImageBatch } from '../node.ts';
import type { MaskBatch } from '../values.ts';

/** Opens one frame in sharp. */
export function openFrame({ width, height, channels }: ImageBatch, frame: Uint8Array): Sharp {
  return sharp(frame, { raw: { width, height, channels } });
}

/** Applies `edit` to every frame. All results must have the same size. */
export async function editFrames(
  batch: ImageBatch,
  edit: (frame: Sharp) => Sharp,
): Promise<ImageBatch> {
  const edited = await Promise.all(
    batch.frames.map((frame) =>
      edit(openFrame(batch, frame)).raw().toBuffer({ resolveWithObject: true }),
    ),
  );
  const { width, height } = edited[0]?.info ?? batch;
  return { ...batch, width, height, frames: edited.map(({ data }) => data) };
}

/** Maps every byte value through `convert`. */
export function mapBytes(batch: ImageBatch, convert: (value: number) => number): ImageBatch {
  const table = Uint8Array.from({ length: 256 }, (_, value) => convert(value));
  return { ...batch, frames: batch.frames.map((frame) => frame.map((value) => table[value] ?? 0)) };
}

/** One channel of every frame as a mask. `channel` is its index within a pixel. */
export function takeChannel(batch: ImageBatch, channel: number): MaskBatch {
  const { width, height, channels, frames } = batch;
  const pick = (frame: Uint8Array) => {
    const picked = new Uint8Array(width * height);
    for (let at = 0; at < picked.length; at++) picked[at] = frame[at * channels + channel] ?? 0;
    return picked;
  };
  return { width, height, frames: frames.map(pick) };
}

/** Masks as grey images. */
export function maskToImage({ width, height, frames }: MaskBatch): ImageBatch {
  const spread = (mask: Uint8Array) => {
    const pixels = new Uint8Array(mask.length * 3);
    for (const [at, value] of mask.entries()) pixels.fill(value, at * 3, at * 3 + 3);
    return pixels;
  };
  return { width, height, channels: 3, frames: frames.map(spread) };
}

/** An image of one colour, `0xRRGGBB`. */
export function plainImage(width: number, height: number, color: number): ImageBatch {
  const frame = new Uint8Array(width * height * 3);
  const pixel = Buffer.from([(color >> 16) & 255, (color >> 8) & 255, color & 255]);
  Buffer.from(frame.buffer).fill(pixel);
  return { width, height, channels: 3, frames: [frame] };
}

/** Repeats the frames. The bytes are shared, not copied. */
export function repeated(batch: ImageBatch, times: number): ImageBatch {
  return { ...batch, frames: Array.from({ length: times }, () => batch.frames).flat() };
}
