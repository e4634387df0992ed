import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { ManualClock } from '../clock.ts';
import { WorkerError } from '../errors.ts';
import type { JobView } from './endpoint.ts';
import { followJob } from './remote-job.ts';

const queued: JobView = { jobId: 'j', status: 'IN_QUEUE', error: undefined };
const running = (percent: number): JobView => ({
  ...queued,
  status: 'IN_PROGRESS',
  output: { percent },
});
const done: JobView = { ...queued, status: 'COMPLETED' };
const unreachable = (status?: number) =>
  new WorkerError('endpoint.unreachable', `no answer`, { cause: { status } });

/** Follows a job whose looks go as given, the last one for ever; time moves from pause to pause. */
async function follow(looks: readonly (JobView | Error)[], pauses = 1000) {
  const clock = new ManualClock();
  const stop = new AbortController();
  const asked: number[] = [];
  const startedAt = clock.now();
  const changes: JobView[] = [];
  const hiccups: string[] = [];
  const status = () => {
    const look = looks[Math.min(asked.length, looks.length - 1)] ?? done;
    asked.push(clock.now() - startedAt);
    return 'jobId' in look ? Promise.resolve(look) : Promise.reject(look);
  };
  const state = { settled: false };
  const ended = followJob({ status }, queued, {
    clock,
    signal: stop.signal,
    onChange: (job) => changes.push(job),
    onHiccup: (reason) => hiccups.push(reason),
  }).finally(() => (state.settled = true));
  ended.catch(() => undefined);
  for (let pause = 0; pause < pauses && !state.settled; pause++) {
    await turn();
    for (let ms = 0; clock.sleepers > 0 && ms < 6000; ms += 10) clock.advance(10);
    await turn();
  }
  stop.abort(new Error('enough'));
  return { ended, asked, changes, hiccups };
}

test('pauses grow to five seconds while nothing happens, and shrink when something does', async () => {
  const nothing = Array.from({ length: 20 }, () => queued);
  const { ended, asked, changes } = await follow([...nothing, running(10), running(10), done]);
  expect(await ended).toBe(done);
  const pauses = asked.map((at, index) => at - (asked[index - 1] ?? 0));
  expect(pauses[0]).toBeLessThan(500);
  expect(Math.max(...pauses)).toBeLessThanOrEqual(5010);
  expect(pauses[18]).toBeGreaterThan(4000);
  expect(pauses[21]).toBeLessThan(1000);
  expect(changes).toEqual([running(10), done]);
});

test('an endpoint that is away for minutes is asked on; what happened meanwhile is seen', async () => {
  const away = Array.from({ length: 50 }, () => unreachable(503));
  const { ended, hiccups } = await follow([running(1), ...away, done]);
  expect(await ended).toBe(done);
  expect(hiccups).toHaveLength(50);
});

test('an endpoint that stays away is given up after five minutes', async () => {
  const { ended, asked } = await follow([unreachable()]);
  await expect(ended).rejects.toMatchObject({ code: 'endpoint.unreachable' });
  expect(asked.at(-1)).toBeGreaterThan(300_000);
  expect(asked.at(-1)).toBeLessThan(310_000);
});

test.each([401, 404])('%i is not asked again', async (status) => {
  const { ended, asked } = await follow([running(1), unreachable(status)]);
  await expect(ended).rejects.toMatchObject({ code: 'endpoint.unreachable' });
  expect(asked).toHaveLength(2);
});

test('an abort ends the following at once', async () => {
  const { ended } = await follow([queued], 3);
  await expect(ended).rejects.toThrow('enough');
});
