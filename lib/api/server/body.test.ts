import { expect, test } from '@jest/globals';
import { fastify } from 'fastify';
import { bodyText, keepBodiesAsText } from './body.ts';
import { LoopShare } from './loop-share.ts';

/** Answers with what it was sent. */
async function startEcho(bodyLimit: number, share = new LoopShare()) {
  const app = fastify({ bodyLimit });
  keepBodiesAsText(app, { mostBytes: 1000, share });
  app.post('/', (request) => bodyText(request));
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return {
    send: (pieces: readonly Uint8Array[]) =>
      fetch(url, { method: 'POST', body: ReadableStream.from(pieces), duplex: 'half' }),
    [Symbol.asyncDispose]: () => app.close(),
  };
}

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
  await using echo = await startEcho(1000, share);
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
