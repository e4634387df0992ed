import { expect, test } from '@jest/globals';
import { Base64, measureJson } from './json-body.ts';

const textOf = (value: unknown) => Buffer.concat(measureJson(value).encode().chunks).toString();

test('plain values are written as JSON.stringify writes them, in UTF-8', () => {
  const value = { a: [1, 'ä😀', null, true], b: { c: undefined } };
  expect(textOf(value)).toBe(JSON.stringify(value));
  expect(measureJson(value).bytes).toBe(Buffer.byteLength(JSON.stringify(value)));
});

test.each([0, 1, 2, 3, 3 * 256 * 1024, 3 * 256 * 1024 + 1, 2_000_003])(
  'a leaf of %i bytes becomes padded base64 of the size that was measured',
  (length) => {
    const bytes = Buffer.alloc(length, 'comfy');
    const measured = measureJson({
      images: [{ data: new Base64(bytes) }, { data: new Base64(bytes) }],
    });
    const text = Buffer.concat(measured.encode().chunks).toString();
    expect(text.length).toBe(measured.bytes);
    const data = bytes.toString('base64');
    expect(JSON.parse(text)).toEqual({ images: [{ data }, { data }] });
  },
);

test('a lone surrogate is escaped', () => {
  expect(textOf({ a: '\ud800' })).toBe('{"a":"\\ud800"}');
});

test('a value that JSON cannot hold is an error', () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  for (const value of [cycle, { n: 1n }, { f: () => 1 }, Symbol('s'), undefined]) {
    expect(() => measureJson(value)).toThrow(TypeError);
  }
});
