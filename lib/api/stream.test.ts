import { expect, test } from '@jest/globals';
import { ManualClock } from '../clock.ts';
import { Notifier } from '../waiting.ts';
import { Gate } from '../worker/test-worker.ts';
import { startTestApi, until } from './test-api.ts';

test.each([
  ['', 8000],
  ['?wait=20000', 20_000],
])('with nothing new, /stream%s is held for %i ms', async (query, ms) => {
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

test('/stream of a job without updates answers with its final state and no elements', async () => {
  const gate = new Gate();
  await using api = await startTestApi({ handler: gate.handler });
  const jobId = await api.run(1);
  const answer = api.call(`/stream/${jobId}?wait=20000`);
  await gate.finish(jobId, 'done');
  expect((await answer).body).toEqual({ status: 'COMPLETED', stream: [] });
});

test('progress and previews come only when asked for, only the latest of each, and once', async () => {
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

test('a HEAD request takes nothing from the stream', async () => {
  const go = new Notifier();
  await using api = await startTestApi({
    handler: async (_job, context) => {
      context.progress({ percent: 50 });
      await go.notified();
    },
  });
  const jobId = await api.run(1);
  await until(async () => (await api.status(jobId)).output !== undefined);
  const url = `/stream/${jobId}?progress=true`;
  expect((await api.call(url, { method: 'HEAD' })).status).toBe(404);
  expect((await api.call(url)).body.stream).toHaveLength(1);
  go.notify();
  await api.ended(jobId);
});

test('progress is kept for the next client when a client leaves before it is sent', async () => {
  const go = new Notifier();
  const clock = new ManualClock();
  await using api = await startTestApi({
    clock,
    handler: async (_job, context) => {
      await go.notified();
      context.progress('value');
      await go.notified();
    },
  });
  const jobId = await api.run(1);
  await until(async () => (await api.status(jobId)).status === 'IN_PROGRESS');
  const { sleepers } = clock;
  const url = `/stream/${jobId}?progress=true&wait=20000`;
  const leaving = new AbortController();
  const left = api.call(url, { signal: leaving.signal });
  await until(() => clock.sleepers > sleepers);
  leaving.abort();
  await expect(left).rejects.toThrow();
  await until(() => clock.sleepers === sleepers);
  go.notify();
  await until(async () => (await api.status(jobId)).output !== undefined);
  expect((await api.call(url)).body.stream).toEqual([{ output: 'value' }]);
  go.notify();
  await api.ended(jobId);
});
