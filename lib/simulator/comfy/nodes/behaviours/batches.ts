/** Nodes that make batches, split them, and cut images into tiles. */

import { plainImage } from '../images/pixels.ts';
import { withoutAlpha } from '../images/load-images.ts';
import type { ImageBatch } from '../node.ts';
import type { MaskBatch } from '../values.ts';
import { PythonError } from '../../python/python-text.ts';
import type { Behaviours, Given } from './given.ts';
import { crop, place, resized, type Picture } from './pictures.ts';

export const BATCH_BEHAVIOURS: Behaviours = {
  SplitImageToTileList: (given) => [tilesOf(given)],
  ImageMergeTileList: (given) => [mergeTiles(given)],
  BatchImagesNode: async (given) => [await batchImages(given.elements('images'))],
  BatchMasksNode: async (given) => [await batchMasks(given.elements('masks'))],
  RebatchImages: (given) => {
    const images = given.value('images') as readonly ImageBatch[];
    const [size = 1] = (given.value('batch_size') as readonly unknown[]).map(Number);
    return [split(images.flatMap(singleFrames), size)];
  },
};

/** Places of tiles in a row of `length` pixels; the last one is moved back to the border. */
function tileStarts(length: number, tile: number, overlap: number): number[] {
  const stride = Math.max(1, tile - overlap);
  const count = Math.max(1, Math.ceil((length - overlap) / stride));
  return Array.from({ length: count }, (_, at) =>
    Math.max(0, Math.min(at * stride, length - tile)),
  );
}

function tilesOf(given: Given): ImageBatch[] {
  const image = given.image('image');
  const [width, height] = [given.number('tile_width'), given.number('tile_height')];
  const overlap = given.number('overlap');
  return tileStarts(image.height, height, overlap).flatMap((y) =>
    tileStarts(image.width, width, overlap).map((x) => crop(image, { x, y, width, height })),
  );
}

/** Later tiles cover the overlap of earlier ones; ComfyUI blends them. */
function mergeTiles(given: Given): ImageBatch {
  const tiles = given.value('image_list') as readonly ImageBatch[];
  const [width = 1] = (given.value('final_width') as readonly unknown[]).map(Number);
  const [height = 1] = (given.value('final_height') as readonly unknown[]).map(Number);
  const [overlap = 0] = (given.value('overlap') as readonly unknown[]).map(Number);
  const [first = plainImage(1, 1, 0)] = tiles;
  const pixels = new Uint8Array(width * height * first.channels);
  let canvas: ImageBatch = {
    width,
    height,
    channels: first.channels,
    frames: first.frames.map(() => pixels),
  };
  const starts = tileStarts(height, first.height, overlap).flatMap((y) =>
    tileStarts(width, first.width, overlap).map((x) => ({ x, y })),
  );
  for (const [at, start] of starts.entries()) {
    const tile = tiles[at];
    if (tile) canvas = place(canvas, tile, start);
  }
  return canvas;
}

export function batchImages(images: readonly ImageBatch[]): Promise<ImageBatch> {
  return batch(images, async (image, first) =>
    image.channels === first.channels ? image : withoutAlpha(image),
  );
}

export function batchMasks(masks: readonly MaskBatch[]): Promise<MaskBatch> {
  return batch(masks, (mask) => Promise.resolve(mask));
}

/** All frames in one batch, in the size of the first. */
async function batch<P extends Picture>(
  pictures: readonly P[],
  adapt: (picture: P, first: P) => Promise<P>,
): Promise<P> {
  const [first] = pictures;
  if (!first) throw new PythonError('ValueError', 'A batch needs at least one image');
  const fitting = pictures.map(async (picture) => {
    const adapted = await adapt(picture, first);
    const same = picture.width === first.width && picture.height === first.height;
    if (same) return adapted;
    return (await resized(adapted, first, { method: 'bilinear', crop: 'center' })) as P;
  });
  return { ...first, frames: (await Promise.all(fitting)).flatMap(({ frames }) => frames) };
}

const singleFrames = (image: ImageBatch) =>
  image.frames.map((frame): ImageBatch => ({ ...image, frames: [frame] }));

/** Batches of at most `size` frames. An image of another size begins a new batch. */
function split(images: readonly ImageBatch[], size: number): ImageBatch[] {
  const batches: ImageBatch[] = [];
  for (const image of images) {
    const last = batches.at(-1);
    const fits = last?.width === image.width && last.height === image.height;
    if (last && fits && last.frames.length < size) {
      batches[batches.length - 1] = { ...last, frames: [...last.frames, ...image.frames] };
    } else batches.push(image);
  }
  return batches;
}
