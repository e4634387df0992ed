import { expect, test } from '@jest/globals';
import { ManualClock } from '../clock.ts';
import { Backoff, parseRetryAfter, retry, RETRY_POLICIES, type RetryPolicy } from './retry.ts';

const POLICY: RetryPolicy = { retries: 3, firstMs: 100, maxMs: 300, jitter: false };

/** Lets everything run that does not wait for the clock. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 0));

/** Runs `retry` on a clock that is moved as soon as somebody sleeps, and records the delays. */
async function run(failures: number, options: Partial<Parameters<typeof retry>[1]> = {}) {
  const clock = new ManualClock();
  const delays: number[] = [];
  let attempts = 0;
  const outcome = retry(
    async (attempt) => {
      attempts = attempt;
      await Promise.resolve();
      if (attempt <= failures) throw new Error(`failure ${attempt}`);
      return 'done';
    },
    { policy: POLICY, clock, onRetry: ({ delayMs }) => void delays.push(delayMs), ...options },
  ).catch((error: unknown) => String(error));
  const ended = outcome.then(() => true);
  while (!(await Promise.race([ended, settle().then(() => false)])))
    if (clock.sleepers > 0) clock.advance(delays.at(-1) ?? 0);
  return { outcome: await outcome, attempts, delays };
}

test('delays double up to the longest one, and a success ends the loop', async () => {
  expect(await run(3)).toEqual({ outcome: 'done', attempts: 4, delays: [100, 200, 300] });
});

test('the last error is thrown when the retries are used up', async () => {
  const { outcome, attempts, delays } = await run(9);
  expect([outcome, attempts, delays.length]).toEqual(['Error: failure 4', 4, 3]);
});

test('an error that is not transient is thrown at once', async () => {
  const isTransient = (error: unknown) => !String(error).includes('failure 2');
  const { outcome, attempts, delays } = await run(9, { isTransient });
  expect([outcome, attempts, delays]).toEqual(['Error: failure 2', 2, [100]]);
});

test('a delay the other side asks for replaces a shorter one, and only a shorter one', async () => {
  const retryAfterMs = () => 150;
  expect((await run(3, { retryAfterMs })).delays).toEqual([150, 200, 300]);
});

test('an attempt that made progress is not counted and not followed by a delay', async () => {
  let failures = 0;
  const hasProgressed = () => ++failures <= 4;
  const { outcome, attempts, delays } = await run(9, { hasProgressed });
  expect([outcome, attempts]).toEqual(['Error: failure 8', 8]);
  expect(delays).toEqual([0, 0, 0, 0, 100, 200, 300]);
});

test('jitter keeps a delay between half and all of its length', async () => {
  const { delays } = await run(3, { policy: { ...POLICY, jitter: true } });
  for (const [at, nominal] of [100, 200, 300].entries()) {
    expect(delays[at]).toBeGreaterThanOrEqual(nominal / 2);
    expect(delays[at]).toBeLessThanOrEqual(nominal);
  }
});

test('an abort ends a delay with the reason of the signal, and nothing is attempted again', async () => {
  const clock = new ManualClock();
  const stop = new AbortController();
  let attempts = 0;
  const outcome = retry(
    () => {
      attempts++;
      return Promise.reject(new Error('failed'));
    },
    { policy: POLICY, clock, signal: stop.signal },
  );
  const failed = expect(outcome).rejects.toThrow('stopped');
  while (clock.sleepers === 0) await settle();
  stop.abort(new Error('stopped'));
  await failed;
  expect([attempts, clock.sleepers]).toEqual([1, 0]);
});

test('with an aborted signal nothing is attempted', async () => {
  const signal = AbortSignal.abort(new Error('stopped'));
  let attempts = 0;
  const attempt = () => Promise.resolve(attempts++);
  await expect(
    retry(attempt, { policy: POLICY, clock: new ManualClock(), signal }),
  ).rejects.toThrow('stopped');
  expect(attempts).toBe(0);
});

test('a backoff starts again after a success', () => {
  const backoff = new Backoff(POLICY);
  expect([backoff.next(), backoff.next(), backoff.next(), backoff.next()]).toEqual([
    100, 200, 300, 300,
  ]);
  backoff.reset();
  expect(backoff.next()).toBe(100);
});

test.each(Object.entries(RETRY_POLICIES) as [string, RetryPolicy][])(
  'the policy %s cannot spin and does not grow without bound',
  (_name, { retries, firstMs, maxMs }) => {
    expect(retries).toBeGreaterThan(0);
    expect(firstMs).toBeGreaterThan(0);
    expect(maxMs).toBeGreaterThanOrEqual(firstMs);
    expect(maxMs).toBeLessThanOrEqual(60_000);
  },
);

const NOW = Date.UTC(2026, 0, 1);

test.each([
  ['3', 3000],
  ['0', 0],
  ['0.5', 500],
  [' 7 ', 7000],
  ['3600', 30_000],
  ['Thu, 01 Jan 2026 00:00:12 GMT', 12_000],
  ['Thu, 01 Jan 2026 01:00:00 GMT', 30_000],
  ['Wed, 31 Dec 2025 23:59:00 GMT', 0],
  [['2', '9'], 2000],
  ['soon', undefined],
  ['-1', 0],
  ['', undefined],
  [undefined, undefined],
])('Retry-After %j is %j ms', (header, ms) =>
  expect(parseRetryAfter(header, { nowMs: NOW })).toBe(ms),
);

test('a caller may allow delays of more than 30 s', () =>
  expect(parseRetryAfter('90', { maxMs: 60_000 })).toBe(60_000));
