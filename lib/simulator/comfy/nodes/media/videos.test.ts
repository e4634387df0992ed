import { copyFile, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { fileTypeFromBuffer } from 'file-type';
import sharp from 'sharp';
import { definitionOf, rowOf, startNodeBench } from '../../testing/node-bench.ts';
import { plainImage, repeated } from '../images/pixels.ts';

const clip = (frames = 3) => repeated(plainImage(20, 12, 0x3366cc), frames);
const MEDIA = 'test_resources/media';

test('a loaded video is saved unchanged and listed under images with its subfolder', async () => {
  await using bench = await startNodeBench();
  await copyFile(`${MEDIA}/boat.mp4`, join(bench.folders.input, 'a.mp4'));
  const [video] = await bench.outputs('LoadVideo', { file: 'a.mp4' });
  const inputs = { video, filename_prefix: 'video/ComfyUI', format: 'auto', codec: 'auto' };
  expect(await bench.show('SaveVideo', inputs)).toEqual({
    images: [{ filename: 'ComfyUI_00001_.mp4', subfolder: 'video', type: 'output' }],
    animated: [true],
  });
  const saved = await readFile(join(bench.folders.output, 'video/ComfyUI_00001_.mp4'));
  expect(saved.equals(await readFile(`${MEDIA}/boat.mp4`))).toBe(true);
});

test('a large video is copied without being read into memory', async () => {
  await using bench = await startNodeBench();
  const path = join(bench.folders.input, 'large.mp4');
  await writeFile(path, '');
  await truncate(path, 100_000_000);
  const before = process.memoryUsage().arrayBuffers;
  await definitionOf('LoadVideo').fingerprint!({ file: 'large.mp4' }, bench.host);
  const [video] = await bench.outputs('LoadVideo', { file: 'large.mp4' });
  await bench.show('SaveVideo', { video, filename_prefix: 'v' });
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(30_000_000);
  expect((await stat(join(bench.folders.output, 'v_00001_.mp4'))).size).toBe(100_000_000);
});

test('frames are saved as an MP4 with H.264 and the right size', async () => {
  await using bench = await startNodeBench();
  const [video] = await bench.outputs('CreateVideo', { images: clip(), fps: 6 });
  await bench.show('SaveVideo', { video, filename_prefix: 'v' });
  const file = await readFile(join(bench.folders.output, 'v_00001_.mp4'));
  expect(await fileTypeFromBuffer(file)).toEqual({ ext: 'mp4', mime: 'video/mp4' });
  const entry = file.indexOf('avc1', file.indexOf('stsd')) + 4;
  expect([file.readUInt16BE(entry + 24), file.readUInt16BE(entry + 26)]).toEqual([20, 12]);
  // Two macroblocks of 384 bytes per frame.
  expect(file.length).toBeGreaterThan(3 * 2 * 384);
});

test('SaveWEBM writes a WebM for any frame size', async () => {
  await using bench = await startNodeBench();
  const images = repeated(plainImage(33, 17, 0xff0000), 2);
  const shown = await bench.show('SaveWEBM', {
    images,
    filename_prefix: 'w',
    codec: 'vp9',
    fps: 4,
  });
  expect(shown).toMatchObject({ images: [{ filename: 'w_00001_.webm' }], animated: [true] });
  const file = await readFile(join(bench.folders.output, 'w_00001_.webm'));
  expect(await fileTypeFromBuffer(file)).toEqual({ ext: 'webm', mime: 'video/webm' });
});

test.each(['missing.mp4', '../secret.mp4'])('LoadVideo refuses %s by name', async (file) => {
  await using bench = await startNodeBench();
  const complaint = await definitionOf('LoadVideo').validate!.check({ file }, bench.host);
  expect(complaint).toBe(`Invalid video file: ${file}`);
});

test.each([
  ['image/gif', 'gif', 'image/gif'],
  ['image/webp', 'webp', 'image/webp'],
  ['video/h264-mp4', 'mp4', 'video/mp4'],
  ['video/webm', 'webm', 'video/webm'],
])('VHS_VideoCombine makes %s and shows one item under gifs', async (format, extension, mime) => {
  await using bench = await startNodeBench();
  const options = { frame_rate: 8, loop_count: 0, pingpong: false, save_output: true };
  const inputs = { images: clip(), ...options, filename_prefix: 'sub/AnimateDiff', format };
  await bench.show('VHS_VideoCombine', inputs);
  const { gifs } = await bench.show('VHS_VideoCombine', inputs);
  const filename = `AnimateDiff_00002.${extension}`;
  const fullpath = join(bench.folders.output, 'sub', filename);
  const workflow = 'AnimateDiff_00002.png';
  expect(gifs).toEqual([
    { filename, subfolder: 'sub', type: 'output', format, frame_rate: 8, workflow, fullpath },
  ]);
  expect((await fileTypeFromBuffer(await readFile(fullpath)))?.mime).toBe(mime);
});

test('VHS_VideoCombine without save_output writes into the temp folder; pingpong plays back and forth', async () => {
  await using bench = await startNodeBench();
  const options = { frame_rate: 8, loop_count: 0, pingpong: true, save_output: false };
  const frames = ['red', 'lime', 'blue'].map((background) =>
    sharp({ create: { width: 4, height: 4, channels: 3, background } })
      .raw()
      .toBuffer(),
  );
  const images = { width: 4, height: 4, channels: 3, frames: await Promise.all(frames) };
  const inputs = { images, ...options, filename_prefix: 'p', format: 'image/webp' };
  const { gifs } = await bench.show('VHS_VideoCombine', inputs);
  expect(gifs).toMatchObject([{ type: 'temp' }]);
  const { pages } = await sharp(join(bench.folders.temp, 'p_00001.webp')).metadata();
  expect(pages).toBe(4);
});

test('VHS_LoadVideo returns the selected frames of an animated image', async () => {
  await using bench = await startNodeBench();
  await copyFile(`${MEDIA}/boat.gif`, join(bench.folders.input, 'a.gif'));
  const load = async (choice: object) =>
    bench.outputs('VHS_LoadVideo', {
      ...{ video: 'a.gif', custom_width: 0, custom_height: 16 },
      ...{ frame_load_cap: 0, skip_first_frames: 0, select_every_nth: 1, ...choice },
    });
  const [images, count] = await load({});
  expect(images).toMatchObject({ height: 16, channels: 3 });
  expect(count).toBe(8);
  expect((await load({ skip_first_frames: 1, select_every_nth: 2, frame_load_cap: 3 }))[1]).toBe(3);
});

test('SaveAnimatedPNG writes an animation, and a plain PNG for a single frame', async () => {
  await using bench = await startNodeBench();
  const two = {
    ...rowOf([255, 0, 0]),
    frames: [Uint8Array.of(255, 0, 0), Uint8Array.of(0, 0, 255)],
  };
  const inputs = { filename_prefix: 'a', fps: 6, compress_level: 4 };
  expect(await bench.show('SaveAnimatedPNG', { ...inputs, images: two })).toMatchObject({
    images: [{ filename: 'a_00001_.png' }],
    animated: [true],
  });
  const file = await readFile(join(bench.folders.output, 'a_00001_.png'));
  expect((await fileTypeFromBuffer(file))?.ext).toBe('apng');
  expect(file.toString('latin1')).toMatch(/acTL[^]*fcTL[^]*IDAT[^]*fcTL[^]*fdAT/);
  const single = await bench.show('SaveAnimatedPNG', { ...inputs, images: rowOf([1, 2, 3]) });
  expect(single).not.toHaveProperty('animated');
});
