import { expect, test } from '@jest/globals';
import { bytesOf, rowOf, startNodeBench } from '../../testing/node-bench.ts';
import { plainImage } from './pixels.ts';

const BLACK = [0, 0, 0] as const;
const WHITE = [255, 255, 255] as const;

test('ImageScale keeps hard edges with nearest-exact', async () => {
  await using bench = await startNodeBench();
  const scaled = await bench.image('ImageScale', {
    image: rowOf(BLACK, WHITE),
    upscale_method: 'nearest-exact',
    width: 4,
    height: 1,
    crop: 'disabled',
  });
  expect(bytesOf(scaled)).toEqual([...BLACK, ...BLACK, ...WHITE, ...WHITE]);
});

test.each(['bilinear', 'area', 'bicubic', 'lanczos'])(
  'ImageScale mixes pixels with %s',
  async (method) => {
    await using bench = await startNodeBench();
    const scaled = await bench.image('ImageScale', {
      image: rowOf(BLACK, WHITE),
      upscale_method: method,
      width: 1,
      height: 1,
      crop: 'disabled',
    });
    for (const value of bytesOf(scaled)) expect(Math.abs(value - 127)).toBeLessThan(4);
  },
);

test.each([
  [0, 50, 100, 50],
  [20, 0, 20, 10],
  [0, 0, 200, 100],
])('ImageScale to %d x %d makes %d x %d of 200 x 100', async (width, height, w, h) => {
  await using bench = await startNodeBench();
  const options = { upscale_method: 'area', width, height, crop: 'disabled' };
  const scaled = await bench.image('ImageScale', { image: plainImage(200, 100, 0), ...options });
  expect(scaled).toMatchObject({ width: w, height: h });
});

test('ImageScale with crop keeps the middle', async () => {
  await using bench = await startNodeBench();
  const scaled = await bench.image('ImageScale', {
    image: rowOf(BLACK, WHITE, BLACK),
    upscale_method: 'bilinear',
    width: 1,
    height: 1,
    crop: 'center',
  });
  expect(bytesOf(scaled)).toEqual(WHITE);
});

test('ImageScaleBy and ImageScaleToTotalPixels keep the proportions', async () => {
  await using bench = await startNodeBench();
  const image = plainImage(200, 100, 0);
  const by = { image, upscale_method: 'bilinear' };
  expect(await bench.image('ImageScaleBy', { ...by, scale_by: 0.25 })).toMatchObject({
    width: 50,
    height: 25,
  });
  const total = await bench.image('ImageScaleToTotalPixels', {
    ...by,
    megapixels: 0.02,
    resolution_steps: 8,
  });
  expect(total).toMatchObject({ width: 208, height: 104 });
});
