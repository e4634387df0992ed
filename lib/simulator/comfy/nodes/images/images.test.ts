import { expect, test } from '@jest/globals';
import type { ImageBatch } from '../node.ts';
import { bytesOf, rowOf, startNodeBench } from '../../testing/node-bench.ts';

const RED = [255, 0, 0] as const;
const GREEN = [0, 255, 0] as const;
const BLUE = [0, 0, 255] as const;

test('EmptyImage fills every frame with its colour', async () => {
  await using bench = await startNodeBench();
  const inputs = { width: 2, height: 1, batch_size: 3, color: 0x336699 };
  const image = await bench.image('EmptyImage', inputs);
  expect(image).toMatchObject({ width: 2, height: 1, channels: 3 });
  expect(image.frames).toHaveLength(3);
  expect(bytesOf(image)).toEqual([0x33, 0x66, 0x99, 0x33, 0x66, 0x99]);
});

test('ImageInvert inverts every value', async () => {
  await using bench = await startNodeBench();
  const image = await bench.image('ImageInvert', { image: rowOf([0, 100, 255]) });
  expect(bytesOf(image)).toEqual([255, 155, 0]);
});

test('ImageBatch resizes and crops the second image to the size of the first', async () => {
  await using bench = await startNodeBench();
  const image1 = rowOf(RED, RED);
  const image2 = { ...rowOf(GREEN, BLUE, BLUE, BLUE, BLUE, GREEN), height: 1 };
  const batch = await bench.image('ImageBatch', { image1, image2 });
  expect(batch).toMatchObject({ width: 2, height: 1 });
  expect(batch.frames.map((frame) => [...frame])).toEqual([
    [...RED, ...RED],
    [...BLUE, ...BLUE],
  ]);
});

test('RepeatImageBatch repeats the whole batch, and ImageFromBatch takes a part of it', async () => {
  await using bench = await startNodeBench();
  const image: ImageBatch = {
    ...rowOf(RED),
    frames: [...rowOf(RED).frames, ...rowOf(BLUE).frames],
  };
  const repeated = await bench.image('RepeatImageBatch', { image, amount: 2 });
  expect(repeated.frames.map((frame) => [...frame])).toEqual([RED, BLUE, RED, BLUE]);
  const taken = await bench.image('ImageFromBatch', { image: repeated, batch_index: 3, length: 9 });
  expect(taken.frames.map((frame) => [...frame])).toEqual([BLUE]);
});

test('ImageCrop stays inside the picture', async () => {
  await using bench = await startNodeBench();
  const image = rowOf(RED, GREEN, BLUE);
  const cropped = await bench.image('ImageCrop', { image, width: 9, height: 9, x: 1, y: 5 });
  expect(cropped).toMatchObject({ width: 2, height: 1 });
  expect(bytesOf(cropped)).toEqual([...GREEN, ...BLUE]);
});

test('ImageRotate turns clockwise', async () => {
  await using bench = await startNodeBench();
  const image = rowOf(RED, BLUE);
  const turned = await bench.image('ImageRotate', { image, rotation: '90 degrees' });
  expect(turned).toMatchObject({ width: 1, height: 2 });
  expect(bytesOf(turned)).toEqual([...RED, ...BLUE]);
  const half = await bench.image('ImageRotate', { image, rotation: '180 degrees' });
  expect(bytesOf(half)).toEqual([...BLUE, ...RED]);
});

test('ImageFlip mirrors along the axis it names', async () => {
  await using bench = await startNodeBench();
  const image = rowOf(RED, BLUE);
  const sideways = await bench.image('ImageFlip', { image, flip_method: 'y-axis: horizontally' });
  expect(bytesOf(sideways)).toEqual([...BLUE, ...RED]);
  const upright = { ...image, width: 1, height: 2 };
  const flipped = await bench.image('ImageFlip', {
    image: upright,
    flip_method: 'x-axis: vertically',
  });
  expect(bytesOf(flipped)).toEqual([...BLUE, ...RED]);
});

test('GetImageSize returns width, height and the number of frames', async () => {
  await using bench = await startNodeBench();
  const image = {
    ...rowOf(RED, BLUE),
    frames: [...rowOf(RED, BLUE).frames, ...rowOf(RED, RED).frames],
  };
  expect(await bench.outputs('GetImageSize', { image })).toEqual([2, 1, 2]);
});

test('a mask becomes a grey picture, and a channel becomes a mask', async () => {
  await using bench = await startNodeBench();
  const [mask] = await bench.outputs('ImageToMask', {
    image: rowOf([10, 20, 30], [40, 50, 60]),
    channel: 'green',
  });
  const image = await bench.image('MaskToImage', { mask });
  expect(bytesOf(image)).toEqual([20, 20, 20, 50, 50, 50]);
});
