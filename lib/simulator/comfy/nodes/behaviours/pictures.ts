/** Nodes that resize, crop and combine images and masks. */

import { maskToImage, openFrame, plainImage, repeated, takeChannel } from '../images/pixels.ts';
import {
  scaled,
  scaleTo,
  wantedSize,
  type CropMode,
  type ScaleMethod,
  type Size,
} from '../images/scaling.ts';
import { channelOf } from '../images/masks.ts';
import { withoutAlpha } from '../images/load-images.ts';
import { savePngs } from '../images/save-images.ts';
import type { ImageBatch } from '../node.ts';
import type { MaskBatch } from '../values.ts';
import { PythonError } from '../../python/python-text.ts';
import type { Behaviours, Given } from './given.ts';

export const PICTURE_BEHAVIOURS: Behaviours = {
  ResizeImageMaskNode: async (given) => [await resize(given)],
  ImageScaleToMaxDimension: async (given) => {
    const image = given.image('image');
    const size = longerSide(image, given.number('largest_size'));
    return [await scaleTo(image, size, { method: given.text('upscale_method') as ScaleMethod })];
  },
  ResizeImagesByLongerEdge: async (given) => {
    const image = given.image('images');
    return [
      await scaleTo(image, longerSide(image, given.number('longer_edge')), { method: 'lanczos' }),
    ];
  },
  ResizeImagesByShorterEdge: async (given) => {
    const image = given.image('images');
    return [
      await scaleTo(image, shorterSide(image, given.number('shorter_edge')), { method: 'lanczos' }),
    ];
  },
  ResizeAndPadImage: resizeAndPad,
  ImageCropV2: async (given, context) => {
    const region = given.group('crop_region');
    const [x = 0, y = 0, width = 512, height = 512] = ['x', 'y', 'width', 'height'].map((name) =>
      region.has(name) ? region.number(name) : undefined,
    );
    const image = crop(given.image('image'), { x, y, width, height });
    const { ui } = await savePngs(image, context, {
      type: 'temp',
      prefix: 'ComfyUI_temp',
      compressionLevel: 1,
    });
    return { outputs: [image], ...(ui ? { ui } : {}) };
  },
  JoinImageWithAlpha: async (given) => [await joinAlpha(given.image('image'), given.mask('alpha'))],
  SplitImageWithAlpha: async (given) => {
    const image = given.image('image');
    return [await withoutAlpha(image), invertMask(channelOf(image, 'alpha'))];
  },
  FluxKontextImageScale: async (given) => {
    const image = given.image('image');
    return [await scaleTo(image, kontextSize(image), { method: 'lanczos', crop: 'center' })];
  },
  ImageCompare: async (given, context) => {
    const save = async (name: string, side: string) => {
      if (!given.has(name)) return [];
      const options = {
        type: 'temp',
        prefix: `comfy.compare.${side}`,
        compressionLevel: 1,
      } as const;
      return (await savePngs(given.image(name), context, options)).ui?.images ?? [];
    };
    return { ui: { a_images: await save('image_a', 'a'), b_images: await save('image_b', 'b') } };
  },
};

export function invertMask({ frames, ...size }: MaskBatch): MaskBatch {
  return { ...size, frames: frames.map((frame) => frame.map((value) => 255 - value)) };
}

export type Picture = ImageBatch | MaskBatch;

const isImage = (picture: Picture): picture is ImageBatch => 'channels' in picture;

/** Resizes an image or a mask. */
export async function resized(
  picture: Picture,
  size: Size,
  how: { readonly method: ScaleMethod; readonly crop?: CropMode },
): Promise<Picture> {
  if (isImage(picture)) return scaleTo(picture, size, how);
  return takeChannel(await scaleTo(maskToImage(picture), size, how), 0);
}

function resize(given: Given): Picture | Promise<Picture> {
  const picture = given.value('input') as Picture;
  const chosen = given.group('resize_type');
  const number = (name: string) => chosen.number(name);
  const method = given.text('scale_method') as ScaleMethod;
  const crop = (chosen.has('crop') ? chosen.text('crop') : 'disabled') as CropMode;
  const to = (size: Size) => resized(picture, size, { method, crop });
  const type = chosen.text('resize_type');
  switch (type) {
    case 'scale dimensions':
      return to(wantedSize(picture, { width: number('width'), height: number('height') }));
    case 'scale by multiplier':
      return to(scaled(picture, number('multiplier')));
    case 'scale longer dimension':
      return to(longerSide(picture, number('longer_size')));
    case 'scale shorter dimension':
      return to(shorterSide(picture, number('shorter_size')));
    case 'scale width':
      return to(wantedSize(picture, { width: number('width'), height: 0 }));
    case 'scale height':
      return to(wantedSize(picture, { width: 0, height: number('height') }));
    case 'scale total pixels': {
      const total = Math.trunc(number('megapixels') * 1024 * 1024);
      return to(scaled(picture, Math.sqrt(total / (picture.width * picture.height))));
    }
    case 'match size':
      return to(chosen.value('match') as Picture);
    case 'scale to multiple':
      return toMultiple(picture, number('multiple'), method);
    default:
      throw new PythonError('ValueError', `Unsupported resize type: ${type}`);
  }
}

function longerSide({ width, height }: Size, length: number): Size {
  const side = Math.max(1, length);
  const other = (short: number, long: number) => Math.max(1, Math.round((short / long) * side));
  return width >= height
    ? { width: side, height: other(height, width) }
    : { width: other(width, height), height: side };
}

function shorterSide({ width, height }: Size, length: number): Size {
  const side = Math.max(1, length);
  const other = (long: number, short: number) => Math.max(1, Math.round((long / short) * side));
  return width <= height
    ? { width: side, height: other(height, width) }
    : { width: other(width, height), height: side };
}

/** Covers the largest multiples that fit, and crops what is over. */
async function toMultiple(
  picture: Picture,
  multiple: number,
  method: ScaleMethod,
): Promise<Picture> {
  const whole = (length: number) => Math.floor(length / multiple) * multiple;
  const target = { width: whole(picture.width), height: whole(picture.height) };
  if (multiple <= 1 || target.width === 0 || target.height === 0) return picture;
  const same = target.width === picture.width && target.height === picture.height;
  return same ? picture : resized(picture, target, { method, crop: 'center' });
}

interface Area extends Size {
  readonly x: number;
  readonly y: number;
}

/** The part of every frame inside the area. An area outside is moved to the last pixel. */
export function crop<P extends Picture>(picture: P, area: Area): P {
  const channels = isImage(picture) ? picture.channels : 1;
  const x = Math.min(area.x, picture.width - 1);
  const y = Math.min(area.y, picture.height - 1);
  const width = Math.max(1, Math.min(area.width, picture.width - x));
  const height = Math.max(1, Math.min(area.height, picture.height - y));
  const cut = (frame: Uint8Array) => {
    const part = new Uint8Array(width * height * channels);
    for (let row = 0; row < height; row++) {
      const from = ((y + row) * picture.width + x) * channels;
      part.set(frame.subarray(from, from + width * channels), row * width * channels);
    }
    return part;
  };
  return { ...picture, width, height, frames: picture.frames.map(cut) };
}

/** Copies `part` into `canvas`, both with the same number of channels. */
export function place(
  canvas: ImageBatch,
  part: ImageBatch,
  { x, y }: { x: number; y: number },
): ImageBatch {
  const { channels } = canvas;
  const width = Math.min(part.width, canvas.width - x);
  const frames = canvas.frames.map((frame, at) => {
    const copy = Uint8Array.from(frame);
    const source = part.frames[at % part.frames.length] ?? new Uint8Array();
    for (let row = 0; row < Math.min(part.height, canvas.height - y); row++) {
      const from = row * part.width * channels;
      copy.set(
        source.subarray(from, from + width * channels),
        ((y + row) * canvas.width + x) * channels,
      );
    }
    return copy;
  });
  return { ...canvas, frames };
}

async function resizeAndPad(given: Given): Promise<readonly unknown[]> {
  const image = await withoutAlpha(given.image('image'));
  const [width, height] = [given.number('target_width'), given.number('target_height')];
  const scale = Math.min(width / image.width, height / image.height);
  const inner = {
    width: Math.max(1, Math.trunc(image.width * scale)),
    height: Math.max(1, Math.trunc(image.height * scale)),
  };
  const small = await scaleTo(image, inner, { method: given.text('interpolation') as ScaleMethod });
  const color = given.text('padding_color') === 'black' ? 0 : 0xffffff;
  const canvas = repeated(plainImage(width, height, color), image.frames.length);
  const x = Math.floor((width - inner.width) / 2);
  return [place(canvas, small, { x, y: Math.floor((height - inner.height) / 2) })];
}

async function joinAlpha(image: ImageBatch, alpha: MaskBatch): Promise<ImageBatch> {
  const opaque = await withoutAlpha(image);
  const fitting = await resized(invertMask(alpha), image, { method: 'bilinear' });
  const length = Math.max(opaque.frames.length, fitting.frames.length);
  const frames = Array.from({ length }, (_, at) =>
    openFrame(opaque, opaque.frames[at % opaque.frames.length] ?? new Uint8Array())
      .joinChannel(Buffer.from(fitting.frames[at % fitting.frames.length] ?? []), {
        raw: { width: image.width, height: image.height, channels: 1 },
      })
      .raw()
      .toBuffer(),
  );
  return { ...opaque, channels: 4, frames: await Promise.all(frames) };
}

/** Sizes that Flux Kontext was trained on: about a megapixel, in steps of eight pixels. */
function kontextSize({ width, height }: Size): Size {
  const ratio = width / height;
  const side = (length: number) => Math.round(length / 8) * 8;
  const size = (wide: number) => ({ width: wide, height: side(1024 ** 2 / wide) });
  const sizes = Array.from({ length: 115 }, (_, at) => size(672 + at * 8));
  const distance = (one: Size) => Math.abs(one.width / one.height - ratio);
  return sizes.reduce((best, one) => (distance(one) < distance(best) ? one : best));
}
