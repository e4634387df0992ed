import { expect, test } from '@jest/globals';
import type { ImageBatch } from '../node.ts';
import { bytesOf, rowOf, startNodeBench } from '../../testing/node-bench.ts';
import { plainImage } from './pixels.ts';
import type { MaskBatch } from '../values.ts';

const red = (image: { readonly frames: readonly Uint8Array[] }) =>
  bytesOf(image).filter((_, at) => at % 3 === 0);

test('ImageCompositeMasked pastes at the given position and crops at the border', async () => {
  await using bench = await startNodeBench();
  const pasted = await bench.image('ImageCompositeMasked', {
    destination: plainImage(3, 2, 0),
    source: plainImage(2, 2, 0xff0000),
    ...{ x: 2, y: 1, resize_source: false },
  });
  expect(red(pasted)).toEqual([0, 0, 0, 0, 0, 255]);
});

test("a mask of the source's size blends the source in partly", async () => {
  await using bench = await startNodeBench();
  const mask: MaskBatch = { width: 1, height: 1, frames: [Uint8Array.of(51)] };
  const inputs = { x: 0, y: 0, resize_source: true, mask };
  const pasted = await bench.image('ImageCompositeMasked', {
    destination: plainImage(2, 1, 0),
    source: plainImage(8, 8, 0xff0000),
    ...inputs,
  });
  expect(red(pasted)).toEqual([51, 51]);
});

test.each([
  ['right', [10, 255, 255, 200], 4],
  ['left', [200, 255, 255, 10], 4],
  ['down', [10, 255, 255, 200], 1],
  ['up', [200, 255, 255, 10], 1],
])('ImageStitch puts the second picture to the %s', async (direction, expected, width) => {
  await using bench = await startNodeBench();
  const stitched = await bench.image('ImageStitch', {
    image1: rowOf([10, 0, 0]),
    image2: rowOf([200, 0, 0]),
    ...{ direction, match_image_size: true, spacing_width: 2, spacing_color: 'red' },
  });
  expect(stitched.width).toBe(width);
  expect(red(stitched)).toEqual(expected);
});

test('ImageStitch returns a single image unchanged and puts images of different sizes in a row on black', async () => {
  await using bench = await startNodeBench();
  const image1 = plainImage(2, 3, 0xff0000);
  const options = { direction: 'right', match_image_size: false, spacing_width: 0 };
  const alone = await bench.image('ImageStitch', { image1, ...options, spacing_color: 'white' });
  expect(alone).toBe(image1);
  const image2 = plainImage(1, 1, 0xff0000);
  const pair = { image1, image2, ...options, spacing_color: 'white' };
  const row = await bench.image('ImageStitch', pair);
  expect(red(row)).toEqual([255, 255, 0, 255, 255, 255, 255, 255, 0]);
});

test('ImagePadForOutpaint adds grey and returns its mask, which fades into the image', async () => {
  await using bench = await startNodeBench();
  const sides = { left: 0, top: 0, right: 8, bottom: 0, feathering: 4 };
  const [image, mask] = (await bench.outputs('ImagePadForOutpaint', {
    image: plainImage(16, 16, 0xff0000),
    ...sides,
  })) as [ImageBatch, MaskBatch];
  expect(image).toMatchObject({ width: 24, height: 16 });
  expect(red(image).slice(15, 17)).toEqual([255, 127]);
  expect([...mask.frames[0]!.slice(11, 17)]).toEqual([0, 0, 16, 64, 143, 255]);
});

test('ImageQuantize reduces the image to the given number of colours', async () => {
  await using bench = await startNodeBench();
  const image = rowOf(...Array.from({ length: 64 }, (_, at) => [at * 4, 0, 255 - at * 4] as const));
  const quantized = await bench.image('ImageQuantize', { image, colors: 4, dither: 'none' });
  const colors = new Set(
    Array.from({ length: 64 }, (_, at) =>
      bytesOf(quantized)
        .slice(3 * at, 3 * at + 3)
        .join(),
    ),
  );
  expect(colors.size).toBeLessThanOrEqual(4);
  expect(colors.size).toBeGreaterThan(1);
});
