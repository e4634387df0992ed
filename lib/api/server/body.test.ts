import { randomBytes } from 'node:crypto';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import { fastify } from 'fastify';
import { bodyText, keepBodiesAsText, type IntakeLimits } from './body.ts';
import { LoopShare } from './loop-share.ts';

/** Answers with what it was sent. */
async function startEcho(
  bodyLimit: number,
  { share = new LoopShare(), mostBytes = 1000 }: Partial<IntakeLimits> = {},
) {
  // As the worker's API stops: a connection whose body was still arriving with the answer does not count as idle.
  const app = fastify({ bodyLimit, forceCloseConnections: true });
  keepBodiesAsText(app, { mostBytes, share });
  app.post('/', (request) => bodyText(request));
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return {
    send: (pieces: readonly Uint8Array[], headers: Record<string, string> = {}) =>
      fetch(url, { method: 'POST', headers, body: ReadableStream.from(pieces), duplex: 'half' }),
    [Symbol.asyncDispose]: () => app.close(),
  };
}

const errorOf = (text: string) => (JSON.parse(text) as { message: string }).message;

class CountingShare extends LoopShare {
  runs = 0;

  override run<T>(work: () => T): Promise<T> {
    this.runs++;
    return super.run(work);
  }
}

test('a character that is split between two chunks is read correctly', async () => {
  await using echo = await startEcho(1000);
  const sent = Buffer.from('{"input":"ü€😀"}');
  const answer = await echo.send(Array.from(sent, (byte) => Buffer.of(byte)));
  expect(await answer.text()).toBe(sent.toString());
});

test('each chunk of a large body uses the loop share', async () => {
  const share = new CountingShare();
  await using echo = await startEcho(1000, { share });
  const pieces = Array.from({ length: 5 }, () => Buffer.alloc(100, 'x'));
  expect(await (await echo.send(pieces)).text()).toBe('x'.repeat(500));
  expect(share.runs).toBeGreaterThanOrEqual(2);
});

test('limits count bytes, not characters', async () => {
  await using echo = await startEcho(10);
  const [within, beyond] = [
    await echo.send([Buffer.from('€€€')]),
    await echo.send([Buffer.from('€€€€')]),
  ];
  expect([await within.text(), beyond.status]).toEqual(['€€€', 500]);
  expect(await beyond.text()).toContain('The body is larger than 10 bytes');
});

test.each([
  ['gzip', gzipSync],
  ['x-gzip', gzipSync],
  ['deflate', deflateSync],
  ['br', brotliCompressSync],
])('a body compressed with %s is read', async (encoding, compress) => {
  await using echo = await startEcho(1000);
  const sent = '{"input":"ü€😀"}';
  const pieces = Array.from(compress(sent), (byte) => Buffer.of(byte));
  const answer = await echo.send(pieces, { 'content-encoding': encoding });
  expect([answer.status, await answer.text()]).toEqual([200, sent]);
});

test.each([
  ['gzip', gzipSync],
  ['deflate', deflateSync],
  ['br', brotliCompressSync],
])('a small body of %s that becomes large is refused as too large', async (encoding, compress) => {
  await using echo = await startEcho(900);
  const bomb = compress(Buffer.alloc(50_000_000));
  const answer = await echo.send([bomb.subarray(0, 500)], { 'content-encoding': encoding });
  expect(await answer.text()).toContain('The body is larger than 900 bytes');
});

test('the rest of a compressed body that is too large is taken, so that the answer arrives', async () => {
  await using echo = await startEcho(1_000_000, { mostBytes: 2_000_000 });
  const piece = gzipSync(randomBytes(100_000));
  const answer = await echo.send(Array(40).fill(piece), { 'content-encoding': 'gzip' });
  expect(await answer.text()).toContain('The body is larger than 1,000,000 bytes');
});

test('compressed bodies count with their real size towards what may arrive at once', async () => {
  await using echo = await startEcho(10_000);
  const answer = await echo.send([gzipSync(Buffer.alloc(5000))], { 'content-encoding': 'gzip' });
  expect(await answer.text()).toContain('too much is being sent at the same time');
});

const gzipped = gzipSync('{"input":1}');

test.each([
  ['is not what its encoding says', Buffer.from('{"input":1}'), /^The body is not gzip, or/],
  ['ends early', gzipped.subarray(0, -4), /^The body is not gzip, or it is incomplete$/],
])('a compressed body that %s is refused with the reason', async (_what, bytes, problem) => {
  await using echo = await startEcho(1000);
  const answer = await echo.send([bytes], { 'content-encoding': 'gzip' });
  expect(errorOf(await answer.text())).toMatch(problem);
});

test('an encoding nobody knows is refused by its name', async () => {
  await using echo = await startEcho(1000);
  const answer = await echo.send([gzipped], { 'content-encoding': 'compress' });
  expect(errorOf(await answer.text())).toMatch(
    /^The Content-Encoding "compress" is not known; send/,
  );
});

test.each([
  ['UTF-16 with a mark', Buffer.from('\ufeff{"input":1}', 'utf16le'), /UTF-16; send JSON in UTF-8/],
  ['UTF-16 without a mark', Buffer.from('{"input":1}', 'utf16le'), /UTF-16/],
  ['UTF-16 of the other order', Buffer.from('{"input":1}', 'utf16le').swap16(), /UTF-16/],
  ['Latin-1', Buffer.from('{"input":"ü"}', 'latin1'), /^The body is not UTF-8; send JSON/],
  ['gzip without its header', gzipped, /send the header "Content-Encoding: gzip"/],
  ['a form', Buffer.from('--b\r\nContent-Disposition: form-data'), /multipart form; send JSON/],
])('a body that is %s is refused with what to send', async (_kind, bytes, problem) => {
  await using echo = await startEcho(1000);
  expect(errorOf(await (await echo.send([bytes])).text())).toMatch(problem);
});
