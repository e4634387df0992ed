import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import { JsonText } from '../../../../json.ts';
import type { ImageBatch } from '../node.ts';
import { rowOf, startNodeBench } from '../../testing/node-bench.ts';

const RED = [255, 0, 0] as const;
const TWO_FRAMES: ImageBatch = {
  ...rowOf(RED, [1, 2, 3]),
  frames: [...rowOf(RED, [1, 2, 3]).frames, ...rowOf([4, 5, 6], [7, 8, 9]).frames],
};

test('SaveImage writes a lossless PNG per frame', async () => {
  await using bench = await startNodeBench();
  const ui = await bench.show('SaveImage', { images: TWO_FRAMES, filename_prefix: 'sub/T' });
  expect(ui).toEqual({
    images: [
      { filename: 'T_00001_.png', subfolder: 'sub', type: 'output' },
      { filename: 'T_00002_.png', subfolder: 'sub', type: 'output' },
    ],
  });
  for (const [at, name] of ['T_00001_.png', 'T_00002_.png'].entries()) {
    const saved = await sharp(join(bench.folders.output, 'sub', name))
      .raw()
      .toBuffer();
    expect([...saved]).toEqual([...TWO_FRAMES.frames[at]!]);
  }
});

test('a saved PNG contains the workflow exactly as sent, and says that it is simulated', async () => {
  const prompt = '{"3":{"inputs":{"seed":18446744073709551615,"cfg":1.0}},"1":{}}';
  await using bench = await startNodeBench({
    prompt: JsonText.parse(prompt),
    extraPnginfo: { workflow: { id: 'café' } },
  });
  await bench.show('SaveImage', { images: rowOf(RED), filename_prefix: 'T' });
  const { comments } = await sharp(join(bench.folders.output, 'T_00001_.png')).metadata();
  expect(comments).toEqual([
    { keyword: 'Software', text: 'comfyui-worker simulator: no model was run' },
    { keyword: 'prompt', text: prompt },
    { keyword: 'workflow', text: '{"id":"caf\\u00e9"}' },
  ]);
});

test('PreviewImage writes into the temp folder under a unique name', async () => {
  await using bench = await startNodeBench();
  const shown = [
    await bench.show('PreviewImage', { images: TWO_FRAMES }),
    await bench.show('PreviewImage', { images: TWO_FRAMES }),
  ];
  const items = shown.flatMap(({ images }) => images as { filename: string; type: string }[]);
  for (const { filename, type } of items) {
    expect(filename).toMatch(/^ComfyUI_temp_[a-z]{5}_0000[12]_\.png$/);
    expect(type).toBe('temp');
  }
  expect(new Set(items.map(({ filename }) => filename)).size).toBe(4);
  expect(await readdir(bench.folders.temp)).toHaveLength(4);
  expect(await readdir(bench.folders.output)).toEqual([]);
});

const ANIMATION = {
  filename_prefix: 'anim',
  fps: 4,
  lossless: true,
  quality: 80,
  method: 'fastest',
};

test('SaveAnimatedWEBP writes all frames into one file marked as animated', async () => {
  await using bench = await startNodeBench();
  const ui = await bench.show('SaveAnimatedWEBP', { images: TWO_FRAMES, ...ANIMATION });
  expect(ui).toEqual({
    images: [{ filename: 'anim_00001_.webp', subfolder: '', type: 'output' }],
    animated: [true],
  });
  const file = await readFile(join(bench.folders.output, 'anim_00001_.webp'));
  expect(await sharp(file).metadata()).toMatchObject({
    pages: 2,
    height: 1,
    delay: [250, 250],
  });
  const pixels = await sharp(file, { pages: -1 }).removeAlpha().raw().toBuffer();
  expect([...pixels]).toEqual(TWO_FRAMES.frames.flatMap((frame) => [...frame]));
});

test('SaveAnimatedWEBP of a single frame is not animated', async () => {
  await using bench = await startNodeBench();
  const ui = await bench.show('SaveAnimatedWEBP', { images: rowOf(RED), ...ANIMATION });
  expect(Object.keys(ui)).toEqual(['images']);
});

test('SaveAnimatedWEBP keeps the prompt in its EXIF', async () => {
  await using bench = await startNodeBench({ prompt: { 1: {} } });
  await bench.show('SaveAnimatedWEBP', { images: TWO_FRAMES, ...ANIMATION });
  const { exif } = await sharp(join(bench.folders.output, 'anim_00001_.webp')).metadata();
  expect(exif?.toString('latin1')).toContain('prompt:{"1":{}}');
});

test('PreviewAny shows text unchanged, and images only as their size', async () => {
  await using bench = await startNodeBench();
  expect(await bench.show('PreviewAny', { source: 'a caption' })).toEqual({ text: ['a caption'] });
  const { text } = await bench.show('PreviewAny', { source: rowOf(RED) });
  expect(text?.[0]).toContain('3 bytes');
});
