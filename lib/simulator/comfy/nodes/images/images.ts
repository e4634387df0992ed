/** Nodes that create, crop, rotate and batch images. */

import { classNode, schemaNode } from '../define-node.ts';
import { choice, image, int } from '../inputs.ts';
import { editFrames, mapBytes, plainImage, repeated } from './pixels.ts';
import { scaleTo } from './scaling.ts';

const EXTRAS = 'comfy_extras.nodes_images';

const emptyImage = classNode({
  name: 'EmptyImage',
  module: 'nodes',
  category: 'image',
  inputs: {
    width: int({ default: 512, min: 1, max: 16384, step: 1 }),
    height: int({ default: 512, min: 1, max: 16384, step: 1 }),
    batch_size: int({ default: 1, min: 1, max: 4096 }),
    color: int({ default: 0, min: 0, max: 0xffffff, step: 1, display: 'color' }),
  },
  outputs: ['IMAGE'],
  run: ({ width, height, batch_size, color }) => ({
    outputs: [repeated(plainImage(width, height, color), batch_size)],
  }),
});

const imageInvert = classNode({
  name: 'ImageInvert',
  title: 'Invert Image',
  module: 'nodes',
  category: 'image',
  inputs: { image: image() },
  outputs: ['IMAGE'],
  run: ({ image }) => ({ outputs: [mapBytes(image, (value) => 255 - value)] }),
});

const imageBatch = classNode({
  name: 'ImageBatch',
  title: 'Batch Images',
  module: 'nodes',
  category: 'image',
  deprecated: true,
  inputs: { image1: image(), image2: image() },
  outputs: ['IMAGE'],
  run: async ({ image1, image2 }) => {
    const sameSize = image1.width === image2.width && image1.height === image2.height;
    const fitting = sameSize
      ? image2
      : await scaleTo(image2, image1, { method: 'bilinear', crop: 'center' });
    return { outputs: [{ ...image1, frames: [...image1.frames, ...fitting.frames] }] };
  },
});

const repeatImageBatch = schemaNode({
  name: 'RepeatImageBatch',
  module: EXTRAS,
  category: 'image/batch',
  inputs: { image: image(), amount: int({ default: 1, min: 1, max: 4096 }) },
  outputs: ['IMAGE'],
  run: ({ image, amount }) => ({ outputs: [repeated(image, amount)] }),
});

const imageFromBatch = schemaNode({
  name: 'ImageFromBatch',
  module: EXTRAS,
  category: 'image/batch',
  inputs: {
    image: image(),
    batch_index: int({ default: 0, min: 0, max: 4095 }),
    length: int({ default: 1, min: 1, max: 4096 }),
  },
  outputs: ['IMAGE'],
  run: ({ image, batch_index, length }) => {
    const first = Math.min(batch_index, image.frames.length - 1);
    return { outputs: [{ ...image, frames: image.frames.slice(first, first + length) }] };
  },
});

const imageCrop = schemaNode({
  name: 'ImageCrop',
  title: 'Image Crop',
  module: EXTRAS,
  category: 'image/transform',
  inputs: {
    image: image(),
    width: int({ default: 512, min: 1, max: 16384, step: 1 }),
    height: int({ default: 512, min: 1, max: 16384, step: 1 }),
    x: int({ default: 0, min: 0, max: 16384, step: 1 }),
    y: int({ default: 0, min: 0, max: 16384, step: 1 }),
  },
  outputs: ['IMAGE'],
  run: async ({ image, width, height, x, y }) => {
    const left = Math.min(x, image.width - 1);
    const top = Math.min(y, image.height - 1);
    const area = {
      left,
      top,
      width: Math.min(width, image.width - left),
      height: Math.min(height, image.height - top),
    };
    return { outputs: [await editFrames(image, (frame) => frame.extract(area))] };
  },
});

const ROTATIONS = { none: 0, '90 degrees': 90, '180 degrees': 180, '270 degrees': 270 } as const;

const imageRotate = schemaNode({
  name: 'ImageRotate',
  module: EXTRAS,
  category: 'image/transform',
  inputs: {
    image: image(),
    rotation: choice(['none', '90 degrees', '180 degrees', '270 degrees']),
  },
  outputs: ['IMAGE'],
  run: async ({ image, rotation }) => ({
    outputs: [await editFrames(image, (frame) => frame.rotate(ROTATIONS[rotation]))],
  }),
});

const imageFlip = schemaNode({
  name: 'ImageFlip',
  module: EXTRAS,
  category: 'image/transform',
  inputs: {
    image: image(),
    flip_method: choice(['x-axis: vertically', 'y-axis: horizontally']),
  },
  outputs: ['IMAGE'],
  run: async ({ image, flip_method }) => ({
    outputs: [
      await editFrames(image, (frame) =>
        flip_method === 'x-axis: vertically' ? frame.flip() : frame.flop(),
      ),
    ],
  }),
});

const getImageSize = schemaNode({
  name: 'GetImageSize',
  title: 'Get Image Size',
  module: EXTRAS,
  category: 'image',
  inputs: { image: image() },
  hidden: ['unique_id'],
  outputs: ['INT', 'INT', 'INT'],
  outputNames: ['width', 'height', 'batch_size'],
  run: ({ image }) => ({ outputs: [image.width, image.height, image.frames.length] }),
});

export const IMAGE_NODES = [
  emptyImage,
  imageInvert,
  imageBatch,
  repeatImageBatch,
  imageFromBatch,
  imageCrop,
  imageRotate,
  imageFlip,
  getImageSize,
];
