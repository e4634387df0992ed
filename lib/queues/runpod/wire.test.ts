import { expect, test } from '@jest/globals';
import { WorkerError } from '../../errors.ts';
import { Base64, measureJson, toText } from '../../json-body.ts';
import { encodeResult, resultBytes, toThrownResult } from '../../worker/encode-result.ts';
import { toJobError, type JobResult } from '../queue.ts';
import { toWireBody } from './wire.ts';

const WORKER = { hostname: 'h', podId: 'p' };
const LIMIT = { maxBytes: 1000 };
const failed = (message: string) => toJobError('comfy.execution_failed', message);

function bodyOf(result: JobResult) {
  const encoded = encodeResult(result, LIMIT);
  const body = toWireBody({ kind: 'result', result: encoded }, WORKER);
  return { body, text: toText(body), countedBytes: resultBytes(encoded.output, encoded) };
}

function reportOf(error: unknown) {
  const { text } = bodyOf(toThrownResult(error));
  const report = (JSON.parse(text) as { error: string }).error;
  return { text: report, keys: JSON.parse(report) as Record<string, string> };
}

test.each<[string, JobResult]>([
  ['{}', {}],
  ['{"output":null}', { output: null }],
  ['{"output":"x"}', { output: 'x' }],
  ['{"output":"AQID"}', { output: new Base64(new Uint8Array([1, 2, 3])) }],
  [
    '{"output":{"images":[{"data":"cGljdHVyZQ=="}],"text":"ä😀"}}',
    { output: { images: [{ data: new Base64(Buffer.from('picture')) }], text: 'ä😀' } },
  ],
  ['{"error":"no \\"workflow\\""}', { error: failed('no "workflow"') }],
  [
    '{"output":{"k":1},"error":"some of it failed","stopPod":true}',
    { freshWorker: true, error: failed('some of it failed'), output: { k: 1 } },
  ],
  ['{"output":{"output":1,"error":"e"}}', { output: { output: 1, error: 'e' } }],
])('a result is posted as %s, and its size is counted right', (text, result) => {
  const { body, text: written, countedBytes } = bodyOf(result);
  expect(written).toBe(text);
  expect(body.bytes).toBe(Buffer.byteLength(text));
  expect(countedBytes).toBe(body.bytes);
});

test('progress carries the status IN_PROGRESS', () => {
  const value = measureJson({ percent: 42 }).encode();
  expect(toText(toWireBody({ kind: 'progress', value }, WORKER))).toBe(
    '{"status":"IN_PROGRESS","output":{"percent":42}}',
  );
});

test('a handler that throws is reported with the six keys, without paths of the server', () => {
  const error = new RangeError("ENOENT: no such file, open '/srv/worker/secret/model.bin'");
  const { text, keys } = reportOf(error);
  expect(Object.keys(keys)).toEqual([
    'error_type',
    'error_message',
    'error_traceback',
    'hostname',
    'worker_id',
    'runpod_version',
  ]);
  expect(keys).toMatchObject({ error_type: 'RangeError', hostname: 'h', worker_id: 'p' });
  expect(keys.error_message).toBe("ENOENT: no such file, open '…/model.bin'");
  expect(keys.error_traceback).toMatch(/^RangeError: ENOENT/);
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
    expect(reportOf(error).text).toContain('loadCheckpoint');
  }
});

test.each([
  ['a string', 'plain'],
  ['nothing', undefined],
  ['an object', { a: 1 }],
])('throwing %s is reported too', (_name, thrown) => {
  expect(Object.keys(reportOf(thrown).keys)).toHaveLength(6);
});
