import { expect, test } from '@jest/globals';
import { ManualClock } from '../clock.ts';
import { Notifier } from '../waiting.ts';
import type { Job, JobContext } from '../queues/queue.ts';
import { Gate } from '../worker/test-worker.ts';
import { startTestApi, until } from './test-api.ts';

const echo = (job: Job) => ({ got: job.input.value() });

/** A handler that waits until it is told to stop. */
const endless = (_job: Job, { signal }: JobContext) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

test('/run answers at once, and the job runs without any further call', async () => {
  const gate = new Gate();
  await using api = await startTestApi({ handler: gate.handler });
  const { status, body } = await api.call('/v2/ep/run', { body: { input: 1 } });
  expect(status).toBe(200);
  expect(body).toEqual({ id: expect.any(String), status: 'IN_QUEUE' });
  await gate.started.first((jobId) => jobId === body.id);
  await gate.finish(body.id);
});

test('status is asked with GET and POST, and stays after the end', async () => {
  await using api = await startTestApi({ handler: echo });
  const jobId = await api.run('x');
  const ended = await api.ended(jobId);
  for (const method of ['GET', 'POST', 'GET']) {
    expect((await api.call(`/v2/ep/status/${jobId}`, { method })).body).toEqual(ended);
  }
  expect(ended).toMatchObject({ status: 'COMPLETED', output: { got: 'x' } });
});

test('a job is queued, then running, then completed, with times in whole milliseconds', async () => {
  const gate = new Gate();
  await using api = await startTestApi({ handler: gate.handler });
  const first = await api.run(1);
  const second = await api.run(2);
  await gate.started.count(1);
  expect(await api.status(second)).toEqual({ id: second, status: 'IN_QUEUE' });
  const running = await api.status(first);
  expect(running).toMatchObject({ status: 'IN_PROGRESS', workerId: 'worker-1' });
  await gate.finish(first, { done: true });
  const ended = await api.ended(first);
  expect(ended).toMatchObject({ status: 'COMPLETED', workerId: 'worker-1' });
  for (const time of [running.delayTime, running.executionTime, ended.delayTime]) {
    expect(Number.isInteger(time)).toBe(true);
  }
  expect(Number.isInteger(ended.executionTime)).toBe(true);
  await gate.finish(second);
});

test.each(['status', 'status-sync', 'stream', 'cancel', 'retry'])(
  '/%s of an unknown job is 404 with an error in JSON',
  async (operation) => {
    await using api = await startTestApi({ handler: echo });
    const { status, headers, body } = await api.call(`/v2/ep/${operation}/nope`, {
      method: 'POST',
    });
    expect(status).toBe(404);
    expect(headers.get('content-type')).toContain('application/json');
    expect(body.error).toContain('There is no such job');
  },
);

test('/runsync answers with the ended job, whose id says so', async () => {
  await using api = await startTestApi({ handler: echo });
  const { status, body } = await api.call('/runsync', { body: { input: [1] } });
  expect(status).toBe(200);
  expect(body).toMatchObject({ status: 'COMPLETED', output: { got: [1] } });
  expect(body.id).toMatch(/^sync-/);
});

test('/runsync answers with the state when its wait is over, and the job goes on', async () => {
  const gate = new Gate();
  await using api = await startTestApi({ handler: gate.handler });
  const { status, body } = await api.call('/runsync?wait=1000', { body: { input: 1 } });
  expect(status).toBe(200);
  expect(body.status).toBe('IN_PROGRESS');
  await gate.finish(body.id, 'late');
  expect(await api.ended(body.id)).toMatchObject({ status: 'COMPLETED', output: 'late' });
});

test('a wait out of bounds becomes the nearest bound, and text that is no number counts as no wait', async () => {
  const clock = new ManualClock();
  const gate = new Gate();
  await using api = await startTestApi({ handler: gate.handler, clock });
  const jobId = await api.run(1);
  await gate.started.count(1);
  const bounds = [
    ['10', 1000],
    ['999999', 298_000],
    ['abc', 90_000],
    ['', 90_000],
  ] as const;
  for (const [wait, ms] of bounds) {
    const sleepers = clock.sleepers;
    let isAnswered = false;
    const answer = api.call(`/status-sync/${jobId}?wait=${wait}`);
    void answer.then(() => (isAnswered = true));
    await until(() => clock.sleepers > sleepers);
    clock.advance(ms - 1);
    await api.status(jobId);
    expect(isAnswered).toBe(false);
    clock.advance(1);
    expect((await answer).body.status).toBe('IN_PROGRESS');
  }
  await gate.finish(jobId);
});

test('/status-sync answers when the job ends', async () => {
  const gate = new Gate();
  await using api = await startTestApi({ handler: gate.handler });
  const jobId = await api.run(1);
  const answer = api.call(`/status-sync/${jobId}?wait=20000`);
  await gate.finish(jobId, 'done');
  expect((await answer).body).toMatchObject({ status: 'COMPLETED', output: 'done' });
});

test('a job cancelled in the queue is never run', async () => {
  const gate = new Gate();
  await using api = await startTestApi({ handler: gate.handler });
  const [first, second] = [await api.run(1), await api.run(2)];
  await gate.started.count(1);
  const { status, body } = await api.call(`/cancel/${second}`, { method: 'POST' });
  expect([status, body]).toEqual([200, { id: second, status: 'CANCELLED' }]);
  await gate.finish(first);
  await api.ended(first);
  const third = await api.run(3);
  await gate.finish(third);
  await api.ended(third);
  expect(gate.started.all).toEqual([first, third]);
  expect((await api.status(second)).status).toBe('CANCELLED');
});

test('a running job that is cancelled is stopped, and its late result is ignored', async () => {
  const gate = new Gate();
  const stopped: string[] = [];
  await using api = await startTestApi({
    handler: (job, { signal }) => {
      signal.addEventListener('abort', () => stopped.push(job.jobId));
      return gate.handler(job);
    },
  });
  const jobId = await api.run(1);
  await gate.started.count(1);
  const { body } = await api.call(`/v2/ep/cancel/${jobId}`, { body: {} });
  expect(body).toMatchObject({ id: jobId, status: 'CANCELLED' });
  await until(() => stopped.includes(jobId));
  await gate.finish(jobId, 'too late');
  expect(await api.status(jobId)).not.toHaveProperty('output');
  expect((await api.status(jobId)).status).toBe('CANCELLED');
});

test('cancelling a job that has ended changes nothing', async () => {
  await using api = await startTestApi({ handler: echo });
  const jobId = await api.run(1);
  const ended = await api.ended(jobId);
  const { status, body } = await api.call(`/cancel/${jobId}`, { method: 'POST' });
  expect(status).toBe(200);
  expect(body).toMatchObject({ id: jobId, status: 'COMPLETED' });
  expect(await api.status(jobId)).toEqual(ended);
});

test('purged jobs end as CANCELLED and are never started; running jobs are left alone', async () => {
  const gate = new Gate();
  await using api = await startTestApi({ handler: gate.handler });
  const [running, second, third] = [await api.run(1), await api.run(2), await api.run(3)];
  await gate.started.count(1);
  const waiting = api.call(`/status-sync/${second}`);
  const { body } = await api.call('/v2/ep/purge-queue', { body: {} });
  expect(body).toEqual({ removed: 2, status: 'completed' });
  expect((await waiting).body).toMatchObject({ id: second, status: 'CANCELLED' });
  expect(await api.status(third)).toMatchObject({ id: third, status: 'CANCELLED' });
  expect((await api.call('/v2/ep/purge-queue', { body: {} })).body).toMatchObject({ removed: 0 });
  await gate.finish(running, 'done');
  expect((await api.ended(running)).status).toBe('COMPLETED');
  expect((await api.call('/health')).body).toMatchObject({ jobs: { inQueue: 0, inProgress: 0 } });
  expect(gate.started.all).toHaveLength(1);
});

test('a failed job is tried again under its id and with its input; a completed one is not', async () => {
  let runs = 0;
  await using api = await startTestApi({
    handler: (job) => (++runs === 1 ? { error: 'once', part: 1 } : echo(job)),
  });
  const jobId = await api.run({ seed: 1 });
  expect(await api.ended(jobId)).toMatchObject({ status: 'FAILED', error: 'once' });
  const { status, body } = await api.call(`/retry/${jobId}`, { method: 'POST' });
  expect([status, body]).toEqual([200, { id: jobId, status: 'IN_QUEUE', retries: 1 }]);
  const again = await api.ended(jobId);
  expect(again).toMatchObject({ status: 'COMPLETED', output: { got: { seed: 1 } }, retries: 1 });
  expect(again).not.toHaveProperty('error');
  expect((await api.call(`/retry/${jobId}`, { method: 'POST' })).status).toBe(400);
  expect((await api.call('/health')).body).toMatchObject({ jobs: { retried: 1, completed: 1 } });
});

test('a job that timed out is retried although its first run is slow to stop', async () => {
  const clock = new ManualClock();
  const gate = new Gate();
  const slow = new Notifier();
  let runs = 0;
  await using api = await startTestApi({
    clock,
    handler: (job) => (++runs === 1 ? slow.notified() : gate.handler(job)),
  });
  const jobId = await api.run(1, { policy: { executionTimeout: 5000 } });
  await until(() => runs === 1);
  clock.advance(5000);
  expect((await api.ended(jobId)).status).toBe('TIMED_OUT');
  await api.call(`/retry/${jobId}`, { method: 'POST' });
  expect((await api.status(jobId)).status).toBe('IN_QUEUE');
  slow.notify();
  await gate.finish(jobId, 'second');
  expect(await api.ended(jobId)).toMatchObject({ status: 'COMPLETED', output: 'second' });
});

test('/health has all counters', async () => {
  const gate = new Gate();
  await using api = await startTestApi({ handler: gate.handler });
  const [first, second] = [await api.run(1), await api.run(2)];
  await gate.started.count(1);
  expect((await api.call('/v2/ep/health')).body).toEqual({
    jobs: { completed: 0, failed: 0, inProgress: 1, inQueue: 1, retried: 0 },
    workers: { idle: 0, initializing: 0, ready: 0, running: 1, throttled: 0, unhealthy: 0 },
  });
  await gate.finish(first);
  await gate.finish(second, { error: 'no' });
  await api.ended(second);
  expect((await api.call('/health')).body).toEqual({
    jobs: { completed: 1, failed: 1, inProgress: 0, inQueue: 0, retried: 0 },
    workers: { idle: 1, initializing: 0, ready: 1, running: 0, throttled: 0, unhealthy: 0 },
  });
});

test('a failure has its error as a string, and keeps the output beside it', async () => {
  await using api = await startTestApi({
    handler: (job) =>
      job.input.value() === 'object' ? { error: { code: 7 } } : { error: 'no', details: ['why'] },
  });
  expect(await api.ended(await api.run('text'))).toMatchObject({
    status: 'FAILED',
    error: 'no',
    output: { details: ['why'] },
  });
  expect((await api.ended(await api.run('object'))).error).toBe('{"code":7}');
});

test('a handler that returns nothing to keep completes without an output', async () => {
  await using api = await startTestApi({ handler: () => ({}) });
  const ended = await api.ended(await api.run(1));
  expect(ended.status).toBe('COMPLETED');
  expect(ended).not.toHaveProperty('output');
});

test('the latest progress is the output of a running job, and none comes after the result', async () => {
  const go = new Notifier();
  await using api = await startTestApi({
    handler: async (_job, context) => {
      context.progress({ percent: 40 });
      await go.notified();
      context.progress({ percent: 99 });
      return 'result';
    },
  });
  const jobId = await api.run(1);
  const { body } = await api.call(`/stream/${jobId}?progress=true&wait=20000`);
  expect(body.stream).toEqual([{ output: { percent: 40 } }]);
  expect(await api.status(jobId)).toMatchObject({
    status: 'IN_PROGRESS',
    output: { percent: 40 },
  });
  go.notify();
  expect(await api.ended(jobId)).toMatchObject({ status: 'COMPLETED', output: 'result' });
});

test('a job that runs longer than its policy allows is timed out and stopped', async () => {
  const clock = new ManualClock();
  const stopped = Promise.withResolvers<undefined>();
  await using api = await startTestApi({
    clock,
    handler: (job, context) => {
      context.signal.addEventListener('abort', () => stopped.resolve(undefined));
      return endless(job, context);
    },
  });
  const jobId = await api.run(1, { policy: { executionTimeout: 5000, lowPriority: true } });
  await until(async () => (await api.status(jobId)).status === 'IN_PROGRESS');
  clock.advance(4999);
  expect((await api.status(jobId)).status).toBe('IN_PROGRESS');
  clock.advance(1);
  expect(await api.ended(jobId)).toMatchObject({
    status: 'TIMED_OUT',
    error: expect.stringContaining('ran for 5 s'),
    executionTime: 5000,
  });
  await stopped.promise;
});

test('a job whose ttl is over is gone, in the queue and while it runs', async () => {
  const clock = new ManualClock();
  await using api = await startTestApi({ clock, handler: endless });
  const policy = { ttl: 10_000 };
  const [running, waiting] = [await api.run(1, { policy }), await api.run(2, { policy })];
  await until(async () => (await api.status(running)).status === 'IN_PROGRESS');
  clock.advance(10_000);
  await until(async () => (await api.call(`/status/${running}`)).status === 404);
  expect((await api.call(`/status/${waiting}`)).status).toBe(404);
  const next = await api.run(3);
  await until(async () => (await api.status(next)).status === 'IN_PROGRESS');
});

test('a ttl given to /status counts from now on', async () => {
  const clock = new ManualClock();
  await using api = await startTestApi({ clock, handler: endless });
  const jobId = await api.run(1, { policy: { ttl: 20_000 } });
  clock.advance(15_000);
  expect((await api.call(`/status/${jobId}?ttl=10000`)).status).toBe(200);
  clock.advance(9999);
  expect((await api.call(`/status/${jobId}`)).status).toBe(200);
  clock.advance(1);
  await until(async () => (await api.call(`/status/${jobId}`)).status === 404);
});

test.each([
  ['/run', 1_800_000],
  ['/runsync', 60_000],
  ['/runsync?wait=120000', 120_000],
])('a job of %s can be asked for until %i ms after its end', async (path, ms) => {
  const clock = new ManualClock();
  await using api = await startTestApi({ clock, handler: echo });
  const { id } = (await api.call(path, { body: { input: 1 } })).body;
  await api.ended(id);
  clock.advance(ms - 1);
  expect((await api.call(`/status/${id}`)).status).toBe(200);
  clock.advance(1);
  await until(async () => (await api.call(`/status/${id}`)).status === 404);
});

test('the paths of the development server do the same as those with an endpoint', async () => {
  await using api = await startTestApi({ handler: echo });
  for (const prefix of ['', '/v2/ep', '/v2/other']) {
    const jobId = (await api.call(`${prefix}/run`, { body: { input: prefix } })).body.id;
    expect((await api.ended(jobId)).output).toEqual({ got: prefix });
    expect((await api.call(`${prefix}/runsync`, { body: { input: 1 } })).status).toBe(200);
    expect((await api.call(`${prefix}/status/${jobId}`)).status).toBe(200);
  }
});

test('the latest jobs are listed without their outputs', async () => {
  await using api = await startTestApi({ handler: echo });
  const [first, second] = [await api.run(1), await api.run(2)];
  await api.ended(second);
  const { requests } = (await api.call('/v2/ep/requests')).body as unknown as {
    requests: { id: string; output?: unknown }[];
  };
  expect(requests.map(({ id }) => id)).toEqual([second, first]);
  expect(requests.some((request) => 'output' in request)).toBe(false);
});

test('a stopped API refuses new jobs, fails those that have not started, and lets running jobs finish', async () => {
  const gate = new Gate();
  await using api = await startTestApi({ handler: gate.handler });
  const [running, waiting] = [await api.run(1), await api.run(2)];
  await gate.started.count(1);
  const answer = api.call(`/status-sync/${waiting}`);
  api.api.stop();
  expect((await answer).body).toMatchObject({
    status: 'FAILED',
    error: expect.stringContaining('stopped before the job began'),
  });
  const refused = await api.call('/run', { body: { input: 3 } });
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
  expect((await api.call('/ready')).status).toBe(503);
  await gate.finish(running, 'done');
  expect((await api.ended(running)).output).toBe('done');
});

test('callers that still wait when the API is closed get an answer', async () => {
  const api = await startTestApi({ handler: endless });
  const jobId = await api.run(1);
  const waiting = api.call(`/status-sync/${jobId}?wait=60000`);
  await until(async () => (await api.status(jobId)).status === 'IN_PROGRESS');
  await api[Symbol.asyncDispose]();
  expect((await waiting).status).toBe(200);
});
