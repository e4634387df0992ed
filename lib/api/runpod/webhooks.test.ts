import { expect, test } from '@jest/globals';
import { ManualClock } from '../../clock.ts';
import type { Job } from '../../queues/queue.ts';
import { Gate } from '../../worker/test-worker.ts';
import { startHook, startSilent, startTestApi, until } from '../test-api.ts';

const echo = (job: Job) => ({ got: job.input.value() });
const environment = { API_WEBHOOK_ALLOW_PRIVATE: 'true' };

test('a webhook receives the whole job, with its input as it was sent', async () => {
  await using hook = await startHook();
  await using api = await startTestApi({ handler: echo, environment });
  const input = '{"seed":18446744073709551615,"w":1.0}';
  const text = `{"input":${input},"webhook":${JSON.stringify(hook.url)}}`;
  const { id } = (await api.call('/run', { text })).body;
  await hook.received.count(1);
  const [received] = hook.received.all;
  expect(received?.headers['content-type']).toBe('application/json');
  expect(received?.text).toContain(`"input":${input}`);
  expect(JSON.parse(received?.text ?? '')).toMatchObject({
    id,
    status: 'COMPLETED',
    output: { got: { w: 1 } },
    webhook: hook.url,
    delayTime: expect.any(Number),
    executionTime: expect.any(Number),
    workerId: 'worker-1',
  });
});

test.each([
  ['FAILED', () => ({ error: 'no' })],
  ['CANCELLED', () => new Promise<never>(() => undefined)],
])('a webhook is also sent for a job that is %s', async (status, handler) => {
  await using hook = await startHook();
  await using api = await startTestApi({ handler, environment });
  const jobId = await api.run({ a: 1 }, { webhook: hook.url });
  await until(async () => (await api.status(jobId)).status !== 'IN_QUEUE');
  if (status === 'CANCELLED') await api.call(`/cancel/${jobId}`, { method: 'POST' });
  await hook.received.count(1);
  expect(JSON.parse(hook.received.all[0]?.text ?? '')).toMatchObject({
    id: jobId,
    status,
    input: { a: 1 },
  });
});

test('a webhook that fails is sent three times, ten seconds apart, and no more', async () => {
  await using hook = await startHook([500, 500, 500, 200]);
  const clock = new ManualClock();
  await using api = await startTestApi({ handler: echo, environment, clock });
  const jobId = await api.run(1, { webhook: hook.url });
  for (const count of [1, 2]) {
    await hook.received.count(count);
    await api.lines.first(({ attempt }) => attempt === count);
    const sleepers = clock.sleepers;
    clock.advance(9999);
    await api.status(jobId);
    expect([clock.sleepers, hook.received.all.length]).toEqual([sleepers, count]);
    clock.advance(1);
  }
  await hook.received.count(3);
  await api.lines.first(({ attempt }) => attempt === 3);
  clock.advance(60_000);
  expect((await api.call('/metrics')).text).toContain(
    'comfyui_worker_webhooks_total{outcome="given_up"} 1',
  );
  expect(hook.received.all).toHaveLength(3);
});

test('a webhook that answers 200 at the second try is not sent again', async () => {
  await using hook = await startHook([503, 200]);
  const clock = new ManualClock();
  await using api = await startTestApi({ handler: echo, environment, clock });
  await api.run(1, { webhook: hook.url });
  await api.lines.first(({ attempt }) => attempt === 1);
  clock.advance(10_000);
  await hook.received.count(2);
  await until(async () =>
    (await api.call('/metrics')).text.includes('webhooks_total{outcome="acknowledged"} 1'),
  );
  expect(hook.received.all).toHaveLength(2);
});

test.each([200, 201, 202, 204])('a webhook that answers %i is not sent again', async (status) => {
  await using hook = await startHook([status]);
  const clock = new ManualClock();
  await using api = await startTestApi({ handler: echo, environment, clock });
  await api.run(1, { webhook: hook.url });
  await until(async () =>
    (await api.call('/metrics')).text.includes('webhooks_total{outcome="acknowledged"} 1'),
  );
  expect(hook.received.all).toHaveLength(1);
});

test('the webhook of a purged job is told that it was cancelled', async () => {
  await using hook = await startHook();
  const gate = new Gate();
  await using api = await startTestApi({ handler: gate.handler, environment });
  const running = await api.run(1);
  const jobId = await api.run({ a: 1 }, { webhook: hook.url });
  await gate.started.count(1);
  await api.call('/purge-queue', { method: 'POST' });
  await hook.received.count(1);
  expect(JSON.parse(hook.received.all[0]?.text ?? '')).toEqual({
    id: jobId,
    status: 'CANCELLED',
    input: { a: 1 },
    webhook: hook.url,
  });
  await gate.finish(running);
});

test('many failing targets do not delay the webhook of another job', async () => {
  await using failing = await startHook([500]);
  await using hook = await startHook();
  await using api = await startTestApi({ handler: echo, environment, clock: new ManualClock() });
  for (let count = 0; count < 20; count++) await api.run(1, { webhook: failing.url });
  await failing.received.count(16);
  await api.run(1, { webhook: hook.url });
  await hook.received.count(1);
});

test('a delayed webhook has the result of its own run, although the job was retried meanwhile', async () => {
  await using silent = await startSilent();
  await using hook = await startHook();
  const gate = new Gate();
  const handler = (job: Job) => (job.input.value() === 1 ? { error: 'no' } : gate.handler(job));
  await using api = await startTestApi({ handler, environment });
  for (let count = 0; count < 16; count++) await api.run(1, { webhook: silent.url });
  await until(() => silent.connections() === 16);
  const jobId = await api.run(1, { webhook: hook.url });
  await api.ended(jobId);
  const blocker = await api.run(2);
  await until(async () => (await api.status(blocker)).status === 'IN_PROGRESS');
  await api.call(`/retry/${jobId}`, { method: 'POST' });
  silent.drop();
  await hook.received.count(1);
  expect(JSON.parse(hook.received.all[0]?.text ?? '')).toMatchObject({
    status: 'FAILED',
    error: 'no',
  });
  await gate.finish(blocker);
});

test('a redirect is not followed', async () => {
  await using hook = await startHook([302]);
  await using api = await startTestApi({ handler: echo, environment, clock: new ManualClock() });
  await api.run(1, { webhook: hook.url });
  const line = await api.lines.first(({ attempt }) => attempt === 1);
  expect(line.reason).toBe('it answered 302 instead of 200');
  expect(hook.received.all).toHaveLength(1);
});

test('the log shows the target of a webhook without its query', async () => {
  await using hook = await startHook([500]);
  await using api = await startTestApi({ handler: echo, environment, clock: new ManualClock() });
  await api.run(1, { webhook: hook.url });
  const line = await api.lines.first(({ attempt }) => attempt === 1);
  expect(line.target).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/hook$/);
  expect(JSON.stringify(api.lines.all)).not.toContain('token=secret');
});

test.each(['http://127.0.0.1:1/', 'http://localhost/', 'http://[::1]/', 'http://169.254.169.254/'])(
  'a webhook to %s is refused when the job is sent',
  async (webhook) => {
    await using api = await startTestApi({ handler: echo });
    const { status, body } = await api.call('/run', { body: { input: 1, webhook } });
    expect(status).toBe(400);
    expect(body.error).toContain('API_WEBHOOK_ALLOW_PRIVATE');
  },
);
