import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { LongString } from '../../lib/long-strings.ts';
import { decodeBase64, decodeContent } from './input-content.ts';

const bytes = Buffer.from([0xfb, 0xef, 0xff, 1, 2, 3, 4]);

test.each([
  ['bare', bytes.toString('base64')],
  ['as data URI', `data:image/png;base64,${bytes.toString('base64')}`],
  ['after any text with a comma', `whatever,${bytes.toString('base64')}`],
  ['with blanks and line breaks', ` ${bytes.toString('base64').replace(/(.{3})/g, '$1\r\n')}\t`],
  [
    'in the URL-safe alphabet, padded',
    bytes.toString('base64').replaceAll('+', '-').replaceAll('/', '_'),
  ],
  ['in the URL-safe alphabet, unpadded', bytes.toString('base64url')],
])('base64 is read %s', (_how, text) => {
  expect(decodeBase64(text)).toEqual(bytes);
  expect(decodeBase64(new LongString(Buffer.from(text)))).toEqual(bytes);
});

test.each([
  ['', 'Expected base64, got an empty string'],
  ['data:image/png;base64,', 'Expected base64, got an empty string'],
  ['====', 'Expected base64, got an empty string'],
  ['AAAA====', 'Incorrect padding'],
  [
    'a',
    'Invalid base64-encoded string: number of data characters (1) cannot be 1 more than a multiple of 4',
  ],
  ['abc', 'Incorrect padding (the text ends after 3 characters; is it cut off?)'],
  ['ab=', 'Incorrect padding (the text ends after 2 characters; is it cut off?)'],
  ['AAAA!AAA', 'Character "!" at position 5 of 8 is not base64'],
  ['data:x,AA AA\n?A', 'Character "?" at position 14 of 15 is not base64'],
  ['AA==AAAA', 'Character "=" at position 3 of 8 is not base64'],
  ['äAAA', 'Character "ä" at position 1 of 4 is not base64'],
  ['https://example.org/a.png', 'Expected base64, got a URL; fetch it first and send its bytes'],
])('%j is refused, saying where: %s', (text, message) => {
  expect(() => decodeBase64(text)).toThrow(message);
  expect(() => decodeBase64(new LongString(Buffer.from(text, 'latin1')))).toThrow(message);
});

test('the media type is the one a data URI declares, else that of the file name', () => {
  const typeOf = (text: string, name = 'a.png') => decodeContent(text, name).mediaType;
  expect(typeOf('data:image/jpeg;base64,AAAA')).toBe('image/jpeg');
  expect(typeOf('data:image/svg+xml,AAAA')).toBe('image/svg+xml');
  expect(typeOf('AAAA')).toBe('image/png');
  expect(typeOf('AAAA', 'a')).toBe('application/octet-stream');
});

test.each(['=', '= ', 'A='])('two million times %j is refused without a slow search', (part) => {
  expect(() => decodeBase64(part.repeat(2_000_000))).toThrow(/Expected base64|not base64/);
});

test.each([1, 2, 3, 49_151, 49_152, 49_153, 300_001])('%j bytes are decoded from bytes', (size) => {
  const sent = randomBytes(size);
  const text = new LongString(Buffer.from(`data:image/png;base64,${sent.toString('base64')}`));
  const { pathOrBytes, bytes, mediaType, digest } = decodeContent(text, 'a');
  expect(sent.equals(pathOrBytes as Buffer)).toBe(true);
  expect([bytes, mediaType]).toEqual([size, 'image/png']);
  expect(digest()).toBe(createHash('sha256').update(sent).digest('hex'));
});

test('a stray character far behind in bytes is found', () => {
  const text = `${'A'.repeat(200_000)}!${'A'.repeat(3)}`;
  expect(() => decodeBase64(new LongString(Buffer.from(text)))).toThrow(
    'Character "!" at position 200001 of 200004 is not base64',
  );
});
