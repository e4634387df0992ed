import { expect, test } from '@jest/globals';
import { bytesOf, rowOf, startNodeBench } from '../../testing/node-bench.ts';
import { plainImage } from './pixels.ts';

const grey = (value: number) => [value, value, value] as const;

test.each([
  ['normal', 200],
  ['multiply', 78],
  ['screen', 222],
  ['overlay', 157],
  ['soft_light', 134],
  ['difference', 0],
])('ImageBlend %s of 100 and 200 gives %d', async (blend_mode, expected) => {
  await using bench = await startNodeBench();
  const blended = await bench.image('ImageBlend', {
    image1: rowOf(grey(100)),
    image2: rowOf(grey(200)),
    blend_factor: 1,
    blend_mode,
  });
  expect(Math.abs(bytesOf(blended)[0]! - expected)).toBeLessThanOrEqual(1);
});

test('ImageBlend with factor 0 returns the first image, and blends one frame over many', async () => {
  await using bench = await startNodeBench();
  const image1 = {
    ...rowOf(grey(10)),
    frames: [10, 20, 30].map((value) => Uint8Array.of(value, value, value)),
  };
  const options = { image1, image2: rowOf(grey(200)), blend_mode: 'normal' };
  const untouched = await bench.image('ImageBlend', { ...options, blend_factor: 0 });
  expect(untouched.frames.map((frame) => frame[0])).toEqual([10, 20, 30]);
  const half = await bench.image('ImageBlend', { ...options, blend_factor: 0.5 });
  expect(half.frames.map((frame) => frame[0])).toEqual([105, 110, 115]);
});

test('ImageBlend of batches of different lengths is an error', async () => {
  await using bench = await startNodeBench();
  const batch = (length: number) => ({
    ...rowOf(grey(0)),
    frames: Array.from({ length }, () => new Uint8Array(3)),
  });
  const inputs = { image1: batch(2), image2: batch(3), blend_factor: 1, blend_mode: 'normal' };
  await expect(bench.image('ImageBlend', inputs)).rejects.toThrow('Batches of 2 and 3 images');
});

test('ImageBlur spreads a point by a Gaussian, up to its radius', async () => {
  await using bench = await startNodeBench();
  const image = rowOf(grey(0), grey(0), grey(0), grey(255), grey(0), grey(0), grey(0));
  const blurred = await bench.image('ImageBlur', { image, blur_radius: 2, sigma: 1 });
  const values = bytesOf(blurred).filter((_, at) => at % 3 === 0);
  expect(values).toEqual([0, 14, 62, 103, 62, 14, 0]);
});

test('ImageBlur leaves a plain area unchanged', async () => {
  await using bench = await startNodeBench();
  const image = plainImage(16, 16, 0xc86401);
  const blurred = await bench.image('ImageBlur', { image, blur_radius: 5, sigma: 2 });
  expect(bytesOf(blurred)).toEqual(bytesOf(image));
});

test('ImageSharpen leaves plain areas unchanged and increases the contrast of an edge', async () => {
  await using bench = await startNodeBench();
  const options = { sharpen_radius: 1, sigma: 1, alpha: 0.1 };
  const even = await bench.image('ImageSharpen', { image: plainImage(4, 4, 0x405060), ...options });
  expect(bytesOf(even).slice(0, 3)).toEqual([0x40, 0x50, 0x60]);
  const step = await bench.image('ImageSharpen', {
    image: rowOf(grey(100), grey(100), grey(150), grey(150)),
    ...options,
  });
  const [left, beforeStep, afterStep, right] = bytesOf(step).filter((_, at) => at % 3 === 0);
  expect([left, right]).toEqual([100, 150]);
  expect(beforeStep).toBeLessThan(100);
  expect(afterStep).toBeGreaterThan(150);
});
