import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import { mediaTypeOfFile } from './fetch-artifacts.ts';
import { groupOf } from './group-outputs.ts';

const typeOf = (bytes: string | Uint8Array, filename: string) =>
  mediaTypeOfFile(new Blob([typeof bytes === 'string' ? bytes : Buffer.from(bytes)]), filename);

test('the bytes of a file decide its media type, whatever its name is', async () => {
  const create = { width: 1, height: 1, channels: 3, background: 'red' } as const;
  const webp = await sharp({ create }).webp().toBuffer();
  expect(await typeOf(webp, 'a.png')).toBe('image/webp');
  expect(await typeOf('fLaC\0\0\0\x22', 'a')).toBe('audio/flac');
});

test('the name decides when the bytes are unknown or only a container', async () => {
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
  ['gifs', 'application/octet-stream', 'videos', 'files'],
  ['videos', 'image/png', 'videos', 'images'],
  ['videos', 'video/webm', 'videos', 'videos'],
  ['result', 'image/gif', 'videos', 'images'],
  ['result', 'image/png', 'files', 'images'],
  ['audio', 'audio/flac', 'audio', 'audio'],
  ['images', 'audio/flac', 'images', 'audio'],
  ['3d', 'model/gltf-binary', 'files', 'files'],
] as const)(
  'a file under the key %s with the type %s is grouped into %s, or by media type into %s',
  (...expected) => {
    const [key, mediaType, byKey, byMediaType] = expected;
    expect(groupOf({ key, mediaType })).toBe(byKey);
    expect(groupOf({ key, mediaType }, 'mediaType')).toBe(byMediaType);
  },
);
