import { crc32 } from 'node:zlib';
import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import type { Artifact } from './artifact.ts';
import { Converter } from './convert.ts';
import type { Conversion } from './convert-image.ts';
import { openTestScope } from '../test/rigs/test-scope.ts';

const limits = { conversions: 2, maxBytes: 10_000_000, maxPixels: 1_000_000, timeoutMs: 60_000 };
const plain = { width: 64, height: 32, channels: 4, background: '#ff000080' } as const;
const png = () => sharp({ create: plain }).png().toBuffer();

function artifact(bytes: Uint8Array, filename = 'a.png', mediaType = 'image/png'): Artifact {
  const place = { nodeId: '1', key: 'images', subfolder: '', type: 'output' };
  return { ...place, filename, mediaType, content: new Blob([bytes]) };
}

/** Converts one file and reads the converted one. */
async function convert(source: Artifact, conversion: Conversion, bounds = limits) {
  await using scope = openTestScope();
  const [made] = await new Converter(bounds).convert([source], conversion, scope);
  const bytes = Buffer.from(await made!.content.bytes());
  return { made: made!, bytes, problems: scope.problems };
}

/** A PNG as ComfyUI writes it: with its texts right after the header. */
async function pngWith(texts: Readonly<Record<string, string>>): Promise<Buffer> {
  const bytes = await png();
  const chunks = Object.entries(texts).map(([keyword, text]) => textChunk(`${keyword}\0${text}`));
  return Buffer.concat([bytes.subarray(0, 33), ...chunks, bytes.subarray(33)]);
}

function textChunk(text: string): Buffer {
  const body = Buffer.from(`tEXt${text}`, 'latin1');
  const chunk = Buffer.alloc(body.length + 8);
  chunk.writeUInt32BE(body.length - 4);
  body.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(body), body.length + 4);
  return chunk;
}

const frame = (background: string) =>
  sharp({ create: { width: 64, height: 32, channels: 3, background } })
    .png()
    .toBuffer();
const animation = async () =>
  sharp([await frame('red'), await frame('blue')], { join: { animated: true } })
    .gif({ delay: [100, 200] })
    .toBuffer();

test.each([
  ['webp', 'a.webp', 'image/webp'],
  ['jpeg', 'a.jpg', 'image/jpeg'],
  ['png', 'a.png', 'image/png'],
  ['avif', 'a.avif', 'image/avif'],
] as const)(
  'an image is converted to %s, with the fitting file name and media type',
  async (...expected) => {
    const [format, filename, mediaType] = expected;
    const { made, bytes, problems } = await convert(artifact(await png()), { format });
    expect(problems).toEqual([]);
    expect(made).toMatchObject({ filename, mediaType, nodeId: '1' });
    expect(await sharp(bytes).metadata()).toMatchObject({ mediaType, width: 64, height: 32 });
  },
);

test('an image is scaled down to fit, never up, and keeps its proportions and its format', async () => {
  const smaller = await convert(artifact(await png()), { maxWidth: 48, maxHeight: 8 });
  expect(await sharp(smaller.bytes).metadata()).toMatchObject({
    format: 'png',
    width: 16,
    height: 8,
  });
  const same = await convert(artifact(await png()), { maxWidth: 1000 });
  expect(await sharp(same.bytes).metadata()).toMatchObject({ width: 64, height: 32 });
});

test('lossless conversion keeps every pixel', async () => {
  const source = await png();
  const { bytes } = await convert(artifact(source), { format: 'webp', lossless: true });
  const pixels = (file: Buffer) => sharp(file).raw().toBuffer();
  expect((await pixels(bytes)).equals(await pixels(source))).toBe(true);
});

test('an animation keeps all frames and is never reduced to a still image', async () => {
  const gif = artifact(await animation(), 'a.gif', 'image/gif');
  const moving = await convert(gif, { format: 'webp', maxWidth: 32 });
  expect(moving.made.filename).toBe('a.webp');
  expect(await sharp(moving.bytes).metadata()).toMatchObject({
    format: 'webp',
    ...{ width: 32, height: 16, pages: 2, delay: [100, 200] },
  });
  const still = await convert(gif, { format: 'jpeg' });
  expect(still.made).toBe(gif);
  expect(still.problems).toEqual([
    'Could not convert a.gif, it comes as it was: it has 2 frames, and jpeg holds one; choose webp',
  ]);
});

const workflow = { prompt: '{"3":{"seed":7}}', workflow: '{"nodes":[]}' };

test('metadata of ComfyUI is dropped unless keepMetadata is set', async () => {
  const source = artifact(await pngWith(workflow));
  const stripped = await convert(source, { format: 'png' });
  expect((await sharp(stripped.bytes).metadata()).comments).toBeUndefined();
  const kept = await convert(source, { format: 'png', keepMetadata: true });
  expect((await sharp(kept.bytes).metadata()).comments).toEqual([
    { keyword: 'prompt', text: workflow.prompt },
    { keyword: 'workflow', text: workflow.workflow },
  ]);
});

test.each(['webp', 'jpeg', 'avif'] as const)(
  'metadata is moved into the EXIF tags of %s that ComfyUI reads',
  async (format) => {
    const source = artifact(await pngWith(workflow));
    const { bytes, problems } = await convert(source, { format, keepMetadata: true });
    expect(problems).toEqual([]);
    const exif = (await sharp(bytes).metadata()).exif?.toString('latin1');
    expect(exif).toContain(`prompt:${workflow.prompt}\0`);
    expect(exif).toContain(`workflow:${workflow.workflow}\0`);
  },
);

test('metadata too large for EXIF is left out with a problem', async () => {
  const source = artifact(await pngWith({ prompt: 'x'.repeat(70_000) }));
  const { made, problems } = await convert(source, { format: 'webp', keepMetadata: true });
  expect(made.filename).toBe('a.webp');
  expect(problems).toEqual([
    'Converted a.png, but its metadata of 70007 bytes was left out: EXIF holds 60000',
  ]);
});

test.each([
  ['is not an image', Buffer.from('no picture'), limits, /unsupported image format/],
  ['is cut off', 'half', limits, /./],
  ['has too many bytes', 'whole', { ...limits, maxBytes: 10 }, /more than the 10 allowed/],
  ['has too many pixels', 'whole', { ...limits, maxPixels: 100 }, /exceeds pixel limit/],
])(
  'an image that %s is returned unchanged, with the reason',
  async (_case, kind, bounds, reason) => {
    const whole = await png();
    const source =
      typeof kind === 'string' ? whole.subarray(0, kind === 'half' ? 60 : undefined) : kind;
    const file = artifact(source);
    const { made, problems } = await convert(file, { format: 'webp' }, bounds);
    expect(made).toBe(file);
    expect(problems).toEqual([
      expect.stringMatching(/^Could not convert a\.png, it comes as it was: /),
    ]);
    expect(problems[0]).toMatch(reason);
  },
);

test('other files, and all files when no conversion is asked for, are returned unchanged', async () => {
  const video = artifact(Buffer.from('video'), 'a.mp4', 'video/mp4');
  expect((await convert(video, { format: 'webp' })).made).toBe(video);
  const broken = artifact(Buffer.from('no picture'));
  expect((await convert(broken, {})).made).toBe(broken);
});

test('a stopped job does not wait for images whose conversion has not begun', async () => {
  const reason = new Error('stopped');
  await using scope = openTestScope(AbortSignal.abort(reason));
  const files = [artifact(await png())];
  await expect(new Converter(limits).convert(files, { format: 'webp' }, scope)).rejects.toBe(
    reason,
  );
});
