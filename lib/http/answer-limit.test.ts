import { expect, test } from '@jest/globals';
import { request } from 'undici';
import { AnswerMeter, limitedResponse, SHORT_ANSWER } from './answer-limit.ts';
import { readBytes } from './bodies.ts';
import { connectionFailure } from './failure.ts';
import { startEndlessServer } from './test-endless.ts';

test('an answer may bring as many bytes as its limit says, and no more', () => {
  const meter = new AnswerMeter({ maxBytes: 10 });
  expect(meter.count(10)).toBeUndefined();
  expect(meter.count(1)).toMatchObject({
    code: 'EANSWER',
    message: 'the answer has more than 10 bytes',
  });
});

test('an answer that drips is given up after a minute, and one with progress is not', () => {
  let ms = 0;
  const drip = new AnswerMeter({ maxBytes: 1e9 }, () => ms);
  const flow = new AnswerMeter({ maxBytes: 1e9 }, () => ms);
  const dripped: (Error | undefined)[] = [];
  for (ms = 0; ms <= 120_000; ms += 1000) {
    dripped.push(drip.count(1));
    expect(flow.count(2048)).toBeUndefined();
  }
  const at = dripped.findIndex((problem) => problem !== undefined);
  expect(at).toBeGreaterThanOrEqual(60);
  expect(at).toBeLessThan(65);
  expect(dripped[at]?.message).toBe('the answer is too slow: 62 bytes in 61 s');
});

test('an answer without an end is cut off at its limit, for undici and for fetch', async () => {
  await using server = await startEndlessServer({});
  const error: unknown = await readBytes(await request(server.url), SHORT_ANSWER).catch(
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ code: 'EANSWER' });
  const to = { host: server.host, purpose: 'upload' } as const;
  expect(connectionFailure(error, to)).toEqual({
    reason: 'the answer has more than 1048576 bytes',
    isTransient: false,
  });
  const response = limitedResponse(await fetch(server.url), SHORT_ANSWER);
  await expect(response.text()).rejects.toMatchObject({ code: 'EANSWER' });
  expect(server.mostBytes).toBeLessThan(24 * 1024 * 1024);
});
