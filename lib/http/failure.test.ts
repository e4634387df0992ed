import { Readable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { answerFailure, connectionFailure, readStart, shortReason } from './failure.ts';

const failed = (code: string, message = 'x') => Object.assign(new Error(message), { code });
const upload = { host: 'h.example', purpose: 'upload' } as const;

test.each([
  ['ECONNREFUSED', 'the connection was refused', true],
  ['UND_ERR_SOCKET', 'the connection was cut', true],
  ['ENOTFOUND', 'there is no host called h.example', false],
  ['EODD', 'the connection failed (EODD)', true],
  ['UND_ERR_INVALID_ARG', 'the connection failed (UND_ERR_INVALID_ARG)', false],
])('%s becomes "%s"', (code, reason, isTransient) => {
  const wrapped = new TypeError('fetch failed', { cause: failed(code) });
  expect(connectionFailure(wrapped, upload)).toEqual({ reason, isTransient });
});

test('a private host is not retried, and the reason does not have its address', () => {
  const error = failed('EPRIVATE', 'h.example (10.1.2.3) is not a public address');
  const { reason, isTransient } = connectionFailure(error, upload);
  expect(reason).toMatch(/^the host is not on the public internet.*UPLOAD_ALLOW_PRIVATE$/);
  expect(isTransient).toBe(false);
  expect(connectionFailure(error, { ...upload, purpose: 'download' }).reason).toMatch(
    /DOWNLOAD_ALLOW_PRIVATE$/,
  );
});

test('the reason of a failed fetch is that of its cause', () => {
  expect(shortReason(new TypeError('fetch failed', { cause: failed('ECONNREFUSED') }))).toBe(
    'ECONNREFUSED',
  );
  expect(shortReason(new TypeError('fetch failed', { cause: new Error('odd') }))).toBe('odd');
  expect(shortReason(new Error('odd'))).toBe('odd');
});

test('an error without a code is described, and the reasons of the caller win', () => {
  const { reason } = connectionFailure(new Error('odd'), upload);
  expect(reason).toBe('the connection failed (odd)');
  const reasons = { ECONNRESET: 'mine' };
  expect(connectionFailure(failed('ECONNRESET'), { ...upload, reasons }).reason).toBe('mine');
});

test.each([
  [404, '<Error><Code>NoSuchKey</Code></Error>', '404 Not Found (NoSuchKey)', false],
  [403, 'go away', '403 Forbidden', false],
  [429, '', '429 Too Many Requests', true],
  [599, '', '599', true],
])('an answer of %i becomes its status and code', async (statusCode, text, reason, isTransient) => {
  const headers = { 'retry-after': '1' };
  const body = Readable.from([Buffer.from(text)]);
  expect(await answerFailure({ statusCode, headers, body })).toEqual({
    reason,
    isTransient,
    retryAfterMs: 1000,
  });
});

test('an error body without an end is read to the limit and closed', async () => {
  const body = Readable.from(
    (function* () {
      for (;;) yield Buffer.from('é'.repeat(100));
    })(),
  );
  expect(await readStart(body, 300)).toBe('é'.repeat(150));
  expect(body.destroyed).toBe(true);
});

test('an error body that breaks off gives what has arrived', async () => {
  const body = Readable.from(
    (function* () {
      yield Buffer.from('half');
      throw new Error('cut');
    })(),
  );
  expect(await readStart(body)).toBe('half');
});
