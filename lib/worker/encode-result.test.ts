import { expect, test } from '@jest/globals';
import { encodeResult, toRefusedResult } from './encode-result.ts';

const LIMIT = { maxBytes: 1000, hint: 'set BUCKET_ENDPOINT_URL' };

const cycle: Record<string, unknown> = {};
cycle.self = cycle;

test.each([
  ['a cycle', cycle],
  ['a BigInt', { seed: 1n }],
  ['a function', { callback: () => 1 }],
  ['a symbol', Symbol('s')],
  [
    'an object that cannot be read',
    {
      toJSON() {
        throw new Error('no');
      },
    },
  ],
])('%s becomes an error that says so', (_name, output) => {
  const { error, ...rest } = encodeResult({ output }, LIMIT);
  expect(error?.message).toMatch(/^The result cannot be written as JSON: ./);
  expect(error).toMatchObject({ code: 'result.unserializable', owner: 'worker', retryable: false });
  expect(rest).toEqual({});
});

test('a result over the limit becomes an error with both sizes and the way out', () => {
  const result = encodeResult({ output: 'x'.repeat(2000), freshWorker: true }, LIMIT);
  expect(result).toEqual({
    error: {
      code: 'result.too_large',
      message:
        'The result is 2,028 bytes of JSON, and RESULT_MAX_BYTES allows 1,000 bytes; set BUCKET_ENDPOINT_URL',
      retryable: false,
      owner: 'operator',
    },
    freshWorker: true,
  });
});

test('the failure posted instead of a refused result names its size and the setting', () => {
  const { error } = toRefusedResult(25_000_000, { reason: '400 Bad Request', ...LIMIT });
  expect(error?.message).toContain('25,000,000 bytes');
  expect(error?.message).toContain('400 Bad Request');
  expect(error?.message).toContain('RESULT_MAX_BYTES is 1,000 bytes');
  expect(error?.message).toContain('set BUCKET_ENDPOINT_URL');
});
