import { expect, test } from '@jest/globals';
import { mediaTypeOf } from './media-type.ts';

test.each([
  ['a.png', 'image/png'],
  ['a.jpg', 'image/jpeg'],
  ['PHOTO.JPG', 'image/jpeg'],
  ['a.jpeg', 'image/jpeg'],
  ['a.webp', 'image/webp'],
  ['a.gif', 'image/gif'],
  ['a.svg', 'image/svg+xml'],
  ['a.mp4', 'video/mp4'],
  ['a.webm', 'video/webm'],
  ['x.tar.gz', 'application/gzip'],
  ['a.safetensors', 'application/octet-stream'],
  ['no extension', 'application/octet-stream'],
])('%s is %s', (filename, mediaType) => {
  expect(mediaTypeOf(filename)).toBe(mediaType);
});
