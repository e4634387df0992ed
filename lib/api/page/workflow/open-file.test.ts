import { expect, test } from '@jest/globals';
import { isPng, pngTexts } from './open-file.js';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

function chunk(type: string, data: Buffer) {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  return Buffer.concat([length, Buffer.from(type), data, Buffer.alloc(4)]);
}

const png = (...chunks: Buffer[]) => new Uint8Array(Buffer.concat([SIGNATURE, ...chunks]));

test('plain and international texts are read', () => {
  const bytes = png(
    chunk('IHDR', Buffer.alloc(13)),
    chunk('tEXt', Buffer.from('prompt\0{"1":{}}')),
    chunk('iTXt', Buffer.from('workflow\0\0\0de\0Ablauf\0größer')),
    chunk('IEND', Buffer.alloc(0)),
  );
  expect(isPng(bytes)).toBe(true);
  expect([...pngTexts(bytes)]).toEqual([
    ['prompt', '{"1":{}}'],
    ['workflow', 'größer'],
  ]);
});

test('a truncated PNG gives the texts it still has', () => {
  const whole = png(chunk('tEXt', Buffer.from('prompt\0x')), chunk('tEXt', Buffer.from('a\0b')));
  expect([...pngTexts(whole.slice(0, whole.length - 8))][0]).toEqual(['prompt', 'x']);
  expect([...pngTexts(whole.slice(0, 10))]).toEqual([]);
});

test('other files are not taken for PNGs', () => {
  expect(isPng(new Uint8Array(Buffer.from('{"1": {}}')))).toBe(false);
});
