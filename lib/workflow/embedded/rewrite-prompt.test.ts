import { openAsBlob } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import { MemoryFile, type FileContent } from '../../file-content.ts';
import { ByteSource } from './byte-source.ts';
import { readEmbedded } from './embedded.ts';
import { withRewrittenPrompt } from './rewrite-prompt.ts';

const FOLDER = new URL('../../../test_resources/media/embedded/', import.meta.url);

const toFolder = (prompt: string) => prompt.replace('"made', '"jobs/a-u1/made');
const toCaller = (prompt: string) => prompt.replace('"jobs/a-u1/made', '"made');

const bytesOf = async (content: FileContent) => Buffer.from(await content.bytes());
const prefixIn = async (bytes: Buffer) => {
  const found = await readEmbedded(ByteSource.ofBytes(bytes));
  return found?.get('prompt')?.get('9')?.get('inputs')?.get('filename_prefix')?.asString();
};

/** Each number of extra characters moves what follows to other offsets, odd and even ones. */
const FILES = [
  'comfyui.png',
  'comfyui-animated.png',
  'comfyui-animated.webp',
  'make.webp',
  'make.jpg',
] as const;

test.each(FILES)(
  '%s with another prompt is a whole picture, and with the first one again it is the same file',
  async (name) => {
    const path = new URL(name, FOLDER);
    const original = await readFile(path);
    const changed = await withRewrittenPrompt(await openAsBlob(path), toFolder);
    const bytes = await bytesOf(changed);
    expect(bytes.length).toBe(changed.size);
    expect(await prefixIn(bytes)).toBe('jobs/a-u1/made');
    const pixels = (file: Buffer) => sharp(file, { animated: true }).raw().toBuffer();
    expect(await pixels(bytes)).toEqual(await pixels(original));
    if (name.endsWith('.webp')) expect(bytes.readUInt32LE(4)).toBe(bytes.length - 8);
    if (name.endsWith('.png')) expectRightChecksums(bytes);
    const restored = await bytesOf(await withRewrittenPrompt(new Blob([bytes]), toCaller));
    expect(restored.equals(original)).toBe(true);
    const inMemory = new MemoryFile(Uint8Array.from(original));
    const changedInMemory = await withRewrittenPrompt(inMemory, toFolder);
    expect((await bytesOf(changedInMemory)).equals(bytes)).toBe(true);
    const restoredInMemory = await withRewrittenPrompt(changedInMemory, toCaller);
    expect((await bytesOf(restoredInMemory)).equals(original)).toBe(true);
  },
);

function expectRightChecksums(png: Buffer): void {
  let at = 8;
  while (at < png.length) {
    const end = at + 8 + png.readUInt32BE(at);
    expect(png.readUInt32BE(end)).toBe(crc32(png.subarray(at + 4, end)));
    at = end + 4;
  }
  expect(at).toBe(png.length);
}

test.each(['webp', 'jpeg', 'png'] as const)(
  'other EXIF data of a %s file stays readable when a text before it becomes longer or shorter',
  async (format) => {
    const exif = {
      IFD0: { Model: 'prompt:{"a": "0123456789"}', Software: 'a program', Copyright: 'somebody' },
      IFD2: { UserComment: 'a comment', ExposureTime: '1/250' },
      IFD3: { GPSLatitudeRef: 'N' },
    };
    const image = sharp({ create: { width: 9, height: 9, channels: 3, background: 'red' } });
    const original = await image.withExif(exif).toFormat(format).toBuffer();
    const others = async (bytes: Buffer) => {
      const block = (await sharp(bytes).metadata()).exif?.toString('latin1') ?? '';
      return ['a program', 'somebody', 'a comment'].map((text) => block.includes(text));
    };
    for (const digits of ['', '0', '01', '012', '0123', '0'.repeat(100), '0'.repeat(101)]) {
      const changed = await bytesOf(
        await withRewrittenPrompt(new MemoryFile(Uint8Array.from(original)), (text) =>
          text.replace('0123456789', digits),
        ),
      );
      const found = await readEmbedded(ByteSource.ofBytes(changed));
      expect(found?.value()).toEqual({ prompt: { a: digits } });
      expect(await others(changed)).toEqual([true, true, true]);
      // sharp reads the tags through libexif, whose offsets have to be right, and writes them anew.
      const again = await sharp(changed).keepMetadata().toFormat(format).toBuffer();
      expect(await others(again)).toEqual([true, true, true]);
    }
  },
);

test('a file without a prompt, with the same prompt, or of another kind is passed on as it is', async () => {
  const png = await sharp({ create: { width: 9, height: 9, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
  for (const bytes of [png, await readFile(new URL('comfyui.mp4', FOLDER)), Buffer.from('text')]) {
    const blob = new Blob([bytes]);
    expect(await withRewrittenPrompt(blob, toFolder)).toBe(blob);
  }
  const blob = await openAsBlob(new URL('comfyui.png', FOLDER));
  expect(await withRewrittenPrompt(blob, (prompt) => prompt)).toBe(blob);
});

test.each(['comfyui.png', 'comfyui-animated.webp', 'make.jpg'])(
  '%s cut off anywhere is refused or passed on, and never read for ever',
  async (name) => {
    const bytes = await readFile(new URL(name, FOLDER));
    for (let length = 0; length < bytes.length; length += 7) {
      const cut = new Blob([bytes.subarray(0, length)]);
      await withRewrittenPrompt(cut, toFolder).catch((error: unknown) =>
        expect(String(error)).toMatch(/cut off|ends at byte|no segment|unknown form/),
      );
    }
  },
);
