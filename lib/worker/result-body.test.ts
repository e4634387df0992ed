import { expect, test } from '@jest/globals';
import { WorkerError } from '../errors.ts';
import { Base64, type JsonBody } from '../json-body.ts';
import { encodeResult, toFailureBody, toRefusal, toResultBody } from './result-body.ts';

const LIMIT = { maxBytes: 1000, hint: 'set BUCKET_ENDPOINT_URL' };
const textOf = (body: JsonBody) => Buffer.concat(body.chunks).toString();
const posted = (value: unknown) => textOf(encodeResult(toResultBody(value), LIMIT));
const errorOf = (body: JsonBody) => (JSON.parse(textOf(body)) as { error: string }).error;

test.each([
  ['"x"', 'x'],
  ['1', 1],
  ['[1]', [1]],
  ['null', null],
  ['false', false],
  ['null', undefined],
  ['"AQID"', new Base64(new Uint8Array([1, 2, 3]))],
])('W15 a handler that returns %s has exactly that as output', (text, value) => {
  expect(posted(value)).toBe(`{"output":${text}}`);
});

test('W16 an empty object is an empty body', () => {
  expect(posted({})).toBe('{}');
});

test('W17 an error moves up beside what else was returned', () => {
  expect(posted({ error: 'e', k: 1 })).toBe('{"output":{"k":1},"error":"e"}');
  expect(posted({ error: 'e' })).toBe('{"error":"e"}');
});

test.each(['', 0, null, false, [], {}])('W18 an error of %p is none', (error) => {
  expect(posted({ error })).toBe('{}');
  expect(posted({ error, k: 1 })).toBe('{"output":{"k":1}}');
});

test.each([
  [{ code: 1 }, '{"code":1}'],
  [['a', 'b'], '["a","b"]'],
  [7, '7'],
  [true, 'true'],
  [new TypeError('no'), 'no'],
])('W19 an error of %p becomes a string', (error, text) => {
  expect(posted({ error })).toBe(JSON.stringify({ error: text }));
});

test('W20 refresh_worker becomes stopPod', () => {
  expect(posted({ refresh_worker: true, a: 1 })).toBe('{"output":{"a":1},"stopPod":true}');
  expect(posted({ refresh_worker: true })).toBe('{"stopPod":true}');
  expect(posted({ refresh_worker: false, a: 1 })).toBe('{"output":{"a":1}}');
});

test('an output that holds an output is not unwrapped, and the returned value is not touched', () => {
  const value = Object.freeze({ output: 1, error: 'e' });
  expect(posted(value)).toBe('{"output":{"output":1},"error":"e"}');
  expect(value).toEqual({ output: 1, error: 'e' });
});

test('W22 a handler that throws is reported with the six keys, without paths of the server', () => {
  const error = new RangeError("ENOENT: no such file, open '/srv/worker/secret/model.bin'");
  const { error: text = '' } = toFailureBody(error, { hostname: 'h', podId: 'p' });
  const report = JSON.parse(text) as Record<string, string>;
  expect(Object.keys(report)).toEqual([
    'error_type',
    'error_message',
    'error_traceback',
    'hostname',
    'worker_id',
    'runpod_version',
  ]);
  expect(report).toMatchObject({ error_type: 'RangeError', hostname: 'h', worker_id: 'p' });
  expect(report.error_message).toBe("ENOENT: no such file, open '…/model.bin'");
  expect(report.error_traceback).toMatch(/^RangeError: ENOENT/);
  expect(text).not.toMatch(/\/(srv|work|home|root|node_modules)\b|file:|\.ts/);
});

test('a trace names the functions that led to the error', () => {
  function loadCheckpoint(): never {
    throw new WorkerError('comfy.protocol', 'no');
  }
  expect(() => loadCheckpoint()).toThrow();
  try {
    loadCheckpoint();
  } catch (error) {
    expect(toFailureBody(error, { hostname: 'h', podId: 'p' }).error).toContain('loadCheckpoint');
  }
});

test.each([
  ['a string', 'plain'],
  ['nothing', undefined],
  ['an object', { a: 1 }],
])('W22 throwing %s is reported too', (_name, thrown) => {
  const { error = '' } = toFailureBody(thrown, { hostname: 'h', podId: 'p' });
  expect(Object.keys(JSON.parse(error) as object)).toHaveLength(6);
});

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
])('W23 %s becomes an error that says so', (_name, value) => {
  expect(errorOf(encodeResult(toResultBody(value), LIMIT))).toMatch(
    /^The result cannot be written as JSON: ./,
  );
});

test('W30 a result over the limit becomes an error with both sizes and the way out', () => {
  const body = encodeResult({ output: 'x'.repeat(2000), stopPod: true }, LIMIT);
  expect(JSON.parse(textOf(body))).toEqual({
    error:
      'The result is 2,028 bytes of JSON, and RESULT_MAX_BYTES allows 1,000 bytes; set BUCKET_ENDPOINT_URL',
    stopPod: true,
  });
});

test('W29 what is said of a refused result is small and names its size and the setting', () => {
  const { error } = toRefusal(25_000_000, { why: '400 Bad Request', ...LIMIT });
  expect(error).toContain('25,000,000 bytes');
  expect(error).toContain('400 Bad Request');
  expect(error).toContain('RESULT_MAX_BYTES is 1,000 bytes');
  expect(error).toContain('set BUCKET_ENDPOINT_URL');
});
