import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import { groupOf, mediaTypeOfFile } from './output-media.ts';

const typeOf = (bytes: string | Uint8Array, filename: string) =>
  mediaTypeOfFile(new Blob([typeof bytes === 'string' ? bytes : Buffer.from(bytes)]), filename);

test('a file is what its bytes say, whatever its name is', async () => {
  const create = { width: 1, height: 1, channels: 3, background: 'red' } as const;
  const webp = await sharp({ create }).webp().toBuffer();
  expect(await typeOf(webp, 'a.png')).toBe('image/webp');
  expect(await typeOf('fLaC\0\0\0\x22', 'a')).toBe('audio/flac');
});

test('bytes that say nothing, or only how they are packed, leave it to the name', async () => {
  expect(await typeOf('not really a video', 'a.mp4')).toBe('video/mp4');
  expect(await typeOf('PK\x03\x04', 'a.glb')).toBe('model/gltf-binary');
  expect(await typeOf('{}', 'a.json')).toBe('application/json');
  expect(await typeOf('?', 'a.unheard-of')).toBe('application/octet-stream');
  expect(await typeOf('?', 'nothing')).toBe('application/octet-stream');
});

test.each([
  ['images', 'image/png', 'images', 'images'],
  ['images', 'video/mp4', 'images', 'videos'],
  ['gifs', 'video/mp4', 'videos', 'videos'],
  ['gifs', 'image/gif', 'videos', 'images'],
  ['gifs', 'image/webp', 'videos', 'images'],
  ['result', 'image/gif', 'videos', 'images'],
  ['result', 'image/png', 'files', 'images'],
  ['audio', 'audio/flac', 'audio', 'audio'],
  ['images', 'audio/flac', 'images', 'audio'],
  ['3d', 'model/gltf-binary', 'files', 'files'],
] as const)('what stands under %s and is %s comes in %s, or by media type in %s', (...expected) => {
  const [key, mediaType, byKey, byMediaType] = expected;
  expect(groupOf({ key, mediaType })).toBe(byKey);
  expect(groupOf({ key, mediaType }, 'mediaType')).toBe(byMediaType);
});
