import { expect, test } from '@jest/globals';
import { ManualClock } from '../clock.ts';
import { Notifier } from '../waiting.ts';
import { Gate } from '../worker/test-worker.ts';
import { startTestApi, until } from './test-api.ts';

const streamOf = (values: readonly unknown[]) =>
  (async function* () {
    for (const value of values) yield await Promise.resolve(value);
  })();

test('A11: values come once, and the end is told again to whoever asks again', async () => {
  await using api = await startTestApi({ handler: () => streamOf([{ a: 1 }, 'b', 3]) });
  const jobId = await api.run(1);
  const told: unknown[] = [];
  for (let view = (await api.call(`/v2/ep/stream/${jobId}`)).body; ;) {
    told.push(...(view.stream ?? []));
    if (view.status === 'COMPLETED' && view.stream?.length === 0) break;
    view = (await api.call(`/v2/ep/stream/${jobId}`)).body;
  }
  expect(told).toEqual([{ output: { a: 1 } }, { output: 'b' }, { output: 3 }]);
  expect((await api.call(`/stream/${jobId}`)).body).toEqual({ status: 'COMPLETED', stream: [] });
});

test('A12: what nobody has fetched comes with the end', async () => {
  await using api = await startTestApi({
    handler: () => streamOf([1, 2, 3]),
    aggregateStream: true,
  });
  const jobId = await api.run(1);
  expect((await api.ended(jobId)).output).toEqual([1, 2, 3]);
  const { body } = await api.call(`/stream/${jobId}`, { method: 'POST' });
  expect(body).toEqual({
    status: 'COMPLETED',
    stream: [{ output: 1 }, { output: 2 }, { output: 3 }],
  });
});

test('a stream that fails keeps what came before', async () => {
  await using api = await startTestApi({ handler: () => streamOf([1, { error: 'no more' }]) });
  const jobId = await api.run(1);
  expect(await api.ended(jobId)).toMatchObject({ status: 'FAILED', error: 'no more' });
  expect((await api.call(`/stream/${jobId}`)).body).toEqual({
    status: 'FAILED',
    stream: [{ output: 1 }],
  });
});

test.each([
  ['', 8000],
  ['?wait=20000', 20_000],
])('A13: with nothing new, /stream%s is held for %i ms', async (query, ms) => {
  const clock = new ManualClock();
  const gate = new Gate();
  await using api = await startTestApi({ handler: gate.handler, clock });
  const jobId = await api.run(1);
  await gate.started.count(1);
  const sleepers = clock.sleepers;
  let isAnswered = false;
  const answer = api.call(`/stream/${jobId}${query}`);
  void answer.then(() => (isAnswered = true));
  await until(() => clock.sleepers > sleepers);
  clock.advance(ms - 1);
  await api.status(jobId);
  expect(isAnswered).toBe(false);
  clock.advance(1);
  expect((await answer).body).toEqual({ status: 'IN_PROGRESS', stream: [] });
  await gate.finish(jobId);
});

test('A14: a job that does not stream has an empty one, and the state of its end', async () => {
  const gate = new Gate();
  await using api = await startTestApi({ handler: gate.handler });
  const jobId = await api.run(1);
  const answer = api.call(`/stream/${jobId}?wait=20000`);
  await gate.finish(jobId, 'done');
  expect((await answer).body).toEqual({ status: 'COMPLETED', stream: [] });
});

test('progress and pictures come only when asked for, the latest of each, once', async () => {
  const shown = new Notifier();
  const go = new Notifier();
  await using api = await startTestApi({
    handler: async (_job, context) => {
      context.preview?.({ bytes: new Uint8Array([1]), mediaType: 'image/png' });
      context.preview?.({
        bytes: new Uint8Array([255, 216]),
        mediaType: 'image/jpeg',
        nodeId: '3',
      });
      context.progress({ percent: 50 });
      shown.notify();
      await go.notified();
      return 'done';
    },
  });
  const wasShown = shown.notified();
  const jobId = await api.run(1);
  await wasShown;
  await until(async () => (await api.status(jobId)).output !== undefined);
  const plain = await api.call(`/stream/${jobId}?wait=1000`);
  expect(plain.body).toEqual({ status: 'IN_PROGRESS', stream: [] });
  const progress = await api.call(`/stream/${jobId}?progress=true`);
  expect(progress.body.stream).toEqual([{ output: { percent: 50 } }]);
  const previews = await api.call(`/stream/${jobId}?previews=true`);
  expect(previews.body.stream).toEqual([
    { output: { preview: 'data:image/jpeg;base64,/9g=', node: '3' } },
  ]);
  const rest = api.call(`/stream/${jobId}?previews=true&wait=20000`);
  go.notify();
  expect((await rest).body).toEqual({ status: 'COMPLETED', stream: [] });
});

test('a request that wants no body takes nothing from the stream', async () => {
  await using api = await startTestApi({ handler: () => streamOf([1, 2]) });
  const jobId = await api.run(1);
  await api.ended(jobId);
  expect((await api.call(`/stream/${jobId}`, { method: 'HEAD' })).status).toBe(404);
  expect((await api.call(`/stream/${jobId}`)).body.stream).toHaveLength(2);
});

test('what a client did not live to read is kept for the next one', async () => {
  const go = new Notifier();
  const clock = new ManualClock();
  await using api = await startTestApi({
    clock,
    handler: () =>
      (async function* () {
        await go.notified();
        yield 'value';
      })(),
  });
  const jobId = await api.run(1);
  await until(async () => (await api.status(jobId)).status === 'IN_PROGRESS');
  const { sleepers } = clock;
  const leaving = new AbortController();
  const left = api.call(`/stream/${jobId}?wait=20000`, { signal: leaving.signal });
  await until(() => clock.sleepers > sleepers);
  leaving.abort();
  await expect(left).rejects.toThrow();
  await until(() => clock.sleepers === sleepers);
  go.notify();
  await api.ended(jobId);
  expect((await api.call(`/stream/${jobId}`)).body.stream).toEqual([{ output: 'value' }]);
});
