import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import type { ImageBatch } from '../node.ts';
import { bytesOf, definitionOf, startNodeBench } from '../../testing/node-bench.ts';
import type { MaskBatch } from '../values.ts';

const solid = (background: string, size = { width: 2, height: 1 }) =>
  sharp({ create: { ...size, channels: 4, background } });

test('LoadImage returns the colours without alpha and a mask of the transparent area', async () => {
  await using bench = await startNodeBench();
  await solid('rgba(200, 100, 50, 0.2)').png().toFile(join(bench.folders.input, 'a.png'));
  const [image, mask] = (await bench.outputs('LoadImage', { image: 'a.png' })) as [
    ImageBatch,
    MaskBatch,
  ];
  expect(image).toMatchObject({ width: 2, height: 1, channels: 3 });
  expect(bytesOf(image)).toEqual([200, 100, 50, 200, 100, 50]);
  expect(bytesOf(mask)).toEqual([204, 204]);
});

test('LoadImage returns an empty mask of 64x64 for an image without alpha', async () => {
  await using bench = await startNodeBench();
  await solid('red').removeAlpha().png().toFile(join(bench.folders.input, 'a.png'));
  const [, mask] = (await bench.outputs('LoadImage', { image: 'a.png' })) as [unknown, MaskBatch];
  expect(mask).toMatchObject({ width: 64, height: 64 });
  expect(bytesOf(mask).every((value) => value === 0)).toBe(true);
});

test('a grey image becomes RGB', async () => {
  await using bench = await startNodeBench();
  await solid('#646464')
    .removeAlpha()
    .toColourspace('b-w')
    .jpeg()
    .toFile(join(bench.folders.input, 'g.jpg'));
  const image = await bench.image('LoadImage', { image: 'g.jpg' });
  expect(image.channels).toBe(3);
  expect(bytesOf(image)).toEqual([100, 100, 100, 100, 100, 100]);
});

test('a rotated photograph is loaded upright', async () => {
  await using bench = await startNodeBench();
  const path = join(bench.folders.input, 'photo.jpg');
  await solid('red', { width: 4, height: 2 }).withMetadata({ orientation: 6 }).jpeg().toFile(path);
  const image = await bench.image('LoadImage', { image: 'photo.jpg' });
  expect(image).toMatchObject({ width: 2, height: 4 });
});

test('the frames of an animation become a batch', async () => {
  await using bench = await startNodeBench();
  const frames = await Promise.all(
    ['#ff0000', '#0000ff'].map((color) => solid(color).removeAlpha().png().toBuffer()),
  );
  const path = join(bench.folders.input, 'a.webp');
  await sharp(frames, { join: { animated: true } })
    .webp({ lossless: true })
    .toFile(path);
  const image = await bench.image('LoadImage', { image: 'a.webp' });
  expect(image).toMatchObject({ width: 2, height: 1 });
  expect(image.frames.map((frame) => [...frame.slice(0, 3)])).toEqual([
    [255, 0, 0],
    [0, 0, 255],
  ]);
});

test('LoadImageMask reads one channel; alpha means transparency', async () => {
  await using bench = await startNodeBench();
  await solid('rgba(200, 100, 50, 1)').png().toFile(join(bench.folders.input, 'a.png'));
  const load = async (channel: string) =>
    (await bench.outputs('LoadImageMask', { image: 'a.png', channel }))[0] as MaskBatch;
  expect(bytesOf(await load('green'))).toEqual([100, 100]);
  expect(bytesOf(await load('alpha'))).toEqual([0, 0]);
});

test('a name may contain a subfolder, or name another folder with a suffix', async () => {
  await using bench = await startNodeBench();
  const { input, output } = bench.folders;
  await mkdir(join(input, 'sub'));
  await solid('red')
    .png()
    .toFile(join(input, 'sub', 'a.png'));
  await copyFile(join(input, 'sub', 'a.png'), join(output, 'b.png'));
  for (const image of ['sub/a.png', 'sub/a.png [input]', 'b.png [output]']) {
    expect(await definitionOf('LoadImage').validate!.check({ image }, bench.host)).toBeUndefined();
    expect(await bench.image('LoadImage', { image })).toMatchObject({ width: 2 });
  }
});

test.each(['missing.png', '../input/a.png/../../secret', '/etc/hostname', 'a.png [output]'])(
  "%s is refused with ComfyUI's text",
  async (image) => {
    await using bench = await startNodeBench();
    await solid('red').png().toFile(join(bench.folders.input, 'a.png'));
    const complaint = await definitionOf('LoadImage').validate!.check({ image }, bench.host);
    expect(complaint).toBe(`Invalid image file: ${image}`);
  },
);

test('a file changed under the same name has another fingerprint', async () => {
  await using bench = await startNodeBench();
  const path = join(bench.folders.input, 'a.png');
  const fingerprint = () => definitionOf('LoadImage').fingerprint!({ image: 'a.png' }, bench.host);
  const before = await fingerprint();
  await writeFile(path, 'one');
  const first = await fingerprint();
  await writeFile(path, 'two');
  expect(new Set([before, first, await fingerprint()]).size).toBe(3);
});

test('LoadImage offers only images, LoadImageMask every file', async () => {
  await using bench = await startNodeBench();
  for (const name of ['b.png', 'a.webp', 'note.txt']) {
    await writeFile(join(bench.folders.input, name), '');
  }
  const choices = async (name: string) =>
    (await definitionOf(name).info(bench.host)).input.required?.image?.[0];
  expect(await choices('LoadImage')).toEqual(['a.webp', 'b.png']);
  expect(await choices('LoadImageMask')).toEqual(['a.webp', 'b.png', 'note.txt']);
});
