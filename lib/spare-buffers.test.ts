import { expect, test } from '@jest/globals';
import { SpareBuffers } from './spare-buffers.ts';

const MB = 1_000_000;

test('a buffer that was given back is used for the next one that fits', () => {
  const spare = new SpareBuffers();
  const first = spare.take(4 * MB);
  spare.giveBack(first);
  const second = spare.take(3 * MB);
  expect(second.buffer).toBe(first.buffer);
  expect(second.length).toBe(3 * MB);
  expect(spare.take(3 * MB).buffer).not.toBe(first.buffer);
});

test('a buffer much too large, or too small, is not used', () => {
  const spare = new SpareBuffers();
  const large = spare.take(9 * MB);
  const small = spare.take(MB);
  spare.giveBack(large);
  spare.giveBack(small);
  expect([large.buffer, small.buffer]).not.toContain(spare.take(3 * MB).buffer);
});

test('small buffers share their memory and are never used again', () => {
  const spare = new SpareBuffers();
  const small = spare.take(100);
  spare.giveBack(small);
  expect(spare.take(100)).not.toBe(small);
});
