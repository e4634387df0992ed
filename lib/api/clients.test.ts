import { expect, jest, test } from '@jest/globals';
import runpodSdk from 'runpod-sdk';
import type { Job } from '../queues/queue.ts';
import { Gate } from '../worker/test-worker.ts';
import { startTestApi, type TestApi, type TestApiOptions } from './test-api.ts';

/** Clients that were written for RunPod, with the local API. */

const echo = (job: Job) => ({ got: job.input.value() });
const KEY = 'rpa_test';

/** The SDK prints every round of its loops. */
jest.spyOn(console, 'log').mockImplementation(() => undefined);

async function startWithSdk(options: TestApiOptions) {
  const api = await startTestApi({ ...options, environment: { API_KEY: KEY } });
  const endpoint = runpodSdk(KEY, { baseUrl: `${api.url}/v2` }).endpoint('any');
  if (!endpoint) throw new Error('The SDK made no endpoint');
  return {
    api,
    endpoint,
    requests: () => requestsTo(api),
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}

/** How many requests were answered, and how. */
function requestsTo(api: TestApi): string[] {
  return api.lines.all
    .filter(({ message }) => message === 'Answered')
    .map(({ route }) => String(route));
}

test('runSync of the SDK resolves to the ended job, with few requests', async () => {
  await using sdk = await startWithSdk({ handler: echo });
  const result = await sdk.endpoint.runSync({ input: { prompt: 'hi' } });
  expect(result).toMatchObject({
    completed: true,
    succeeded: true,
    status: 'COMPLETED',
    output: { got: { prompt: 'hi' } },
  });
  expect(sdk.requests().length).toBeLessThanOrEqual(3);
});

test('stream of the SDK ends with the job, after few requests', async () => {
  await using sdk = await startWithSdk({ handler: () => 'done' });
  const { id } = await sdk.endpoint.run({ input: 1 });
  const values: unknown[] = [];
  for await (const value of sdk.endpoint.stream(id)) values.push(value);
  expect(values).toEqual([]);
  expect(sdk.requests().length).toBeLessThan(10);
});

test('run, status, cancel, health and purgeQueue of the SDK do what they say', async () => {
  const gate = new Gate();
  await using sdk = await startWithSdk({ handler: gate.handler });
  const first = await sdk.endpoint.run({ input: 1 });
  const second = await sdk.endpoint.run({ input: 2 });
  expect(first).toMatchObject({ status: 'IN_QUEUE' });
  await gate.started.count(1);
  expect(await sdk.endpoint.status(first.id)).toMatchObject({
    status: 'IN_PROGRESS',
    started: true,
    completed: false,
  });
  expect(await sdk.endpoint.health()).toMatchObject({ jobs: { inProgress: 1, inQueue: 1 } });
  expect(await sdk.endpoint.purgeQueue()).toEqual({ removed: 1, status: 'completed' });
  expect(await sdk.endpoint.status(second.id)).toMatchObject({ status: 'CANCELLED' });
  expect(await sdk.endpoint.cancel(first.id)).toMatchObject({ id: first.id, status: 'CANCELLED' });
  await gate.finish(first.id);
});

test('a wrong key makes the SDK throw', async () => {
  await using api = await startTestApi({ handler: echo, environment: { API_KEY: KEY } });
  const endpoint = runpodSdk('wrong', { baseUrl: `${api.url}/v2` }).endpoint('any');
  await expect(endpoint?.run({ input: 1 })).rejects.toThrow('401');
});

test('the requests of the Python client are answered in the form it reads', async () => {
  await using api = await startTestApi({ handler: echo, environment: { API_KEY: KEY } });
  const headers = { authorization: `Bearer ${KEY}` };
  const bare = { headers, method: 'POST' };

  const run = await api.call('/v2/ep/run', { body: { input: { input: {} } }, headers });
  expect(Object.keys(run.body)).toEqual(['id', 'status']);

  const sync = await api.call('/v2/ep/runsync', { body: { input: 1 }, headers });
  expect(sync.body).toMatchObject({ status: 'COMPLETED', output: { got: 1 } });

  const status = await api.call(`/v2/ep/status/${sync.body.id}`, { headers });
  expect(status.body).toMatchObject({ status: 'COMPLETED', output: { got: 1 } });

  const stream = await api.call(`/v2/ep/stream/${sync.body.id}`, { headers });
  expect(stream.body).toEqual({ status: 'COMPLETED', stream: [] });

  expect((await api.call(`/v2/ep/cancel/${run.body.id}`, bare)).status).toBe(200);
  expect((await api.call('/v2/ep/purge-queue', bare)).body).toEqual({
    removed: 0,
    status: 'completed',
  });
  expect((await api.call('/v2/ep/health', { headers })).status).toBe(200);
});

test('answers have the types that the Go client decodes', async () => {
  const failing = (job: Job) => (job.input.value() === 'fail' ? { error: { code: 1 } } : 'fine');
  await using api = await startTestApi({ handler: failing });
  for (const input of ['fail', 'succeed']) {
    const jobId = await api.run(input);
    const asked = { method: 'POST' };
    await api.call(`/v2/ep/status-sync/${jobId}?wait=20000`, asked);
    const { status, body } = await api.call(`/v2/ep/status/${jobId}`, asked);
    expect(status).toBe(200);
    for (const number of [body.delayTime, body.executionTime]) {
      expect(Number.isInteger(number)).toBe(true);
    }
    expect(typeof (body.error ?? '')).toBe('string');
    const stream = await api.call(`/v2/ep/stream/${jobId}?wait=5000`, asked);
    expect(Array.isArray(stream.body.stream)).toBe(true);
  }
});
