import type { ImageBatch } from '../node.ts';
import { classNode } from '../define-node.ts';
import { choice, hostChoice } from '../inputs.ts';
import {
  checkInputFile,
  hashInputFile,
  inputFile,
  listInputFiles,
  listInputMedia,
} from '../input-files.ts';
import { channelOf } from './masks.ts';
import { openImage } from './open-image.ts';
import { editFrames, mapBytes, takeChannel } from './pixels.ts';
import type { MaskBatch } from '../values.ts';

const upload = { image_upload: true };

const loadImage = classNode({
  name: 'LoadImage',
  title: 'Load Image',
  module: 'nodes',
  category: 'image',
  inputs: { image: hostChoice((host) => listInputMedia(host, 'image'), upload) },
  outputs: ['IMAGE', 'MASK'],
  run: async ({ image }, { folders }) => {
    const loaded = await readImage(inputFile(image, folders));
    return { outputs: [await withoutAlpha(loaded), transparencyOf(loaded)] };
  },
  validate: checkInputFile('image', 'image'),
  fingerprint: hashInputFile('image'),
});

const loadImageMask = classNode({
  name: 'LoadImageMask',
  title: 'Load Image (as Mask)',
  module: 'nodes',
  category: 'mask',
  inputs: {
    image: hostChoice(listInputFiles, upload),
    channel: choice(['alpha', 'red', 'green', 'blue']),
  },
  outputs: ['MASK'],
  run: async ({ image, channel }, { folders }) => {
    const loaded = await readImage(inputFile(image, folders));
    return { outputs: [maskFrom(loaded, channel)] };
  },
  validate: { ...checkInputFile('image', 'image'), definedBy: 'LoadImage' },
  fingerprint: hashInputFile('image'),
});

/** Reads an image upright and in sRGB, with alpha if the file has it. An animation becomes a batch. */
export async function readImage(path: string): Promise<ImageBatch> {
  const first = await openImage(path);
  const { pages = 1, hasAlpha } = await first.metadata();
  const source = pages > 1 ? await openImage(path, { pages: -1 }) : first.autoOrient();
  const colored = source.toColourspace('srgb');
  const { data, info } = await (hasAlpha ? colored.ensureAlpha() : colored.removeAlpha())
    .raw()
    .toBuffer({ resolveWithObject: true });
  const height = info.height / pages;
  const bytes = info.width * height * info.channels;
  return {
    width: info.width,
    height,
    channels: hasAlpha ? 4 : 3,
    frames: Array.from({ length: pages }, (_, at) => data.subarray(at * bytes, (at + 1) * bytes)),
  };
}

export async function withoutAlpha(image: ImageBatch): Promise<ImageBatch> {
  if (image.channels === 3) return image;
  return { ...(await editFrames(image, (frame) => frame.removeAlpha())), channels: 3 };
}

/** The mask is 255 where the image is transparent. Without alpha it is an empty mask of 64x64, as in ComfyUI. */
function transparencyOf(image: ImageBatch): MaskBatch {
  if (image.channels === 4) return takeChannel(inverted(image), 3);
  return { width: 64, height: 64, frames: image.frames.map(() => new Uint8Array(64 * 64)) };
}

function maskFrom(image: ImageBatch, channel: 'alpha' | 'red' | 'green' | 'blue'): MaskBatch {
  return channel === 'alpha' ? transparencyOf(image) : channelOf(image, channel);
}

function inverted(image: ImageBatch): ImageBatch {
  return mapBytes(image, (value) => 255 - value);
}

export const LOAD_IMAGE_NODES = [loadImage, loadImageMask];
