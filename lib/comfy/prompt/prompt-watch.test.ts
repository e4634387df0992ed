import { expect, test } from '@jest/globals';
import { parsePreview } from './prompt-watch.ts';

const frame = (event: number, format: number, ...picture: number[]) =>
  Buffer.from([0, 0, 0, event, 0, 0, 0, format, ...picture]);

test('a preview is read with its media type', () => {
  expect(parsePreview(frame(1, 1, 255, 216))).toEqual({
    bytes: Buffer.from([255, 216]),
    mediaType: 'image/jpeg',
  });
  expect(parsePreview(frame(1, 2, 137))?.mediaType).toBe('image/png');
});

test.each([
  ['another event', frame(2, 1, 1)],
  ['metadata nobody asked for', frame(4, 1, 1)],
  ['an unknown format', frame(1, 9, 1)],
  ['no picture', frame(1, 1)],
  ['a stump', Buffer.from([0, 0, 0, 1])],
  ['nothing', Buffer.alloc(0)],
])('%s is not a preview', (_what, bytes) => expect(parsePreview(bytes)).toBeUndefined());
