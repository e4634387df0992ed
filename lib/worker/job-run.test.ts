import { expect, test } from '@jest/globals';
import { startRunpodSimulator } from '../simulator/stand-ins/runpod.ts';
import type { Job, JobContext } from '../queues/queue.ts';
import { Gate, InstantClock, TestWorker } from './test-worker.ts';

/** A handler that does as the input says. */
const obey = (job: Job): unknown => {
  const input = job.input.value() as { throws?: string; returns?: unknown };
  if (input.throws) throw new RangeError(input.throws);
  return input.returns;
};

test('the output of a handler arrives as it is', async () => {
  await using sim = await startRunpodSimulator();
  await using _ = await TestWorker.start(sim.env, { handler: obey });
  for (const returns of ['x', 1, [1], null, false, { a: 'ü' }]) {
    expect((await sim.result(sim.submit({ returns }))).bodyText).toBe(
      JSON.stringify({ output: returns }),
    );
  }
});

test('with a refresh after every job even a failure asks for a fresh worker, and this one ends without another take', async () => {
  await using sim = await startRunpodSimulator();
  await using started = await TestWorker.start(sim.env, {
    handler: obey,
    refresh: { afterJobs: 1 },
    expectedErrors: ['The handler threw'],
  });
  const jobId = sim.submit({ throws: 'no' });
  sim.submit({ returns: 'for another worker' });
  const { body } = await sim.result(jobId);
  expect(body).toMatchObject({ error: expect.any(String) as unknown, stopPod: true });
  await started.worker.done;
  expect(sim.takes).toHaveLength(1);
});

test('with a refresh after every job no second job is under way when the platform is asked to stop the worker', async () => {
  await using sim = await startRunpodSimulator();
  await using started = await TestWorker.start(sim.env, {
    handler: obey,
    refresh: { afterJobs: 1 },
    slots: 3,
  });
  const jobIds = [sim.submit({ returns: 1 }), sim.submit({ returns: 2 })];
  await started.worker.done;
  const ended = jobIds.map((jobId) => sim.job(jobId)?.output).filter(Boolean);
  expect(ended).toEqual([1]);
  expect(sim.takes).toHaveLength(1);
  expect(sim.takes[0]?.route).toBe('job-take');
});

test('of jobs that run side by side only the last result asks for a fresh worker', async () => {
  await using sim = await startRunpodSimulator();
  const gate = new Gate();
  await using started = await TestWorker.start(sim.env, {
    ...{ handler: gate.handler, refresh: { afterJobs: 2 }, slots: 3 },
  });
  const [first, second] = [sim.submit(1), sim.submit(2)];
  const left = sim.submit('for another worker');
  await gate.started.count(2);
  await gate.finish(second);
  expect((await sim.result(second)).body).not.toHaveProperty('stopPod');
  await gate.finish(first);
  expect((await sim.result(first)).body).toMatchObject({ stopPod: true });
  await started.worker.done;
  expect(gate.started.all).not.toContain(left);
});

test('after an error the jobs in hand are finished, and the last result asks for a fresh worker', async () => {
  await using sim = await startRunpodSimulator();
  const gate = new Gate();
  await using started = await TestWorker.start(sim.env, {
    ...{ handler: gate.handler, refresh: { afterError: true }, slots: 2 },
  });
  const fine = sim.submit(1);
  await gate.finish(fine);
  expect((await sim.result(fine)).body).not.toHaveProperty('stopPod');
  const [failing, other] = [sim.submit(2), sim.submit(3)];
  await gate.started.count(3);
  await gate.finish(failing, { error: 'no' });
  expect((await sim.result(failing)).body).not.toHaveProperty('stopPod');
  await gate.finish(other);
  expect((await sim.result(other)).body).toMatchObject({ stopPod: true });
  await started.worker.done;
});

test('the report of a handler that threw names its worker', async () => {
  await using sim = await startRunpodSimulator();
  await using _ = await TestWorker.start(sim.env, {
    handler: obey,
    queueOptions: { hostname: 'host', podId: 'simulated-pod' },
    expectedErrors: ['The handler threw'],
  });
  const { body } = await sim.result(sim.submit({ throws: 'bad seed' }));
  const { error } = body as { error: string };
  expect(JSON.parse(error)).toMatchObject({
    error_type: 'RangeError',
    error_message: 'bad seed',
    hostname: 'host',
    worker_id: 'simulated-pod',
  });
});

test('a result that cannot be written as JSON is posted once, as an error', async () => {
  await using sim = await startRunpodSimulator();
  const handler = () => ({ seed: 1n });
  await using _ = await TestWorker.start(sim.env, { handler });
  const { body } = await sim.result(sim.submit(1));
  expect(body).toEqual({ error: expect.stringMatching(/BigInt/) as unknown });
  expect(sim.posts).toHaveLength(1);
});

test('a result over the limit is replaced by an error, and only that is posted', async () => {
  await using sim = await startRunpodSimulator();
  await using _ = await TestWorker.start(sim.env, {
    handler: () => 'x'.repeat(10_000),
    maxResultBytes: 5000,
    tooLargeHint: 'set BUCKET_ENDPOINT_URL',
  });
  const { body } = await sim.result(sim.submit(1));
  expect(body).toEqual({
    error: expect.stringMatching(/10,013 bytes.*5,000 bytes.*BUCKET_ENDPOINT_URL/) as unknown,
  });
  expect(sim.posts).toHaveLength(1);
});

test('log lines of a job carry its id and the name of its batch', async () => {
  await using sim = await startRunpodSimulator();
  await using started = await TestWorker.start(sim.env, { handler: obey });
  const jobId = sim.submit({ returns: 1 }, { batchId: 'b7' });
  await sim.result(jobId);
  const finished = await started.lines.first((line) => line.message.endsWith('Finished.'));
  expect(finished).toMatchObject({ message: '[batchId=b7] Finished.', requestId: jobId });
});

test('a stopped job is aborted, nothing is posted for it, and the job beside it goes on', async () => {
  await using sim = await startRunpodSimulator();
  const gate = new Gate();
  const aborted = Promise.withResolvers<unknown>();
  const handler = (job: Job, { signal }: JobContext) => {
    if (job.jobId !== 'j1') return gate.handler(job);
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        aborted.resolve(signal.reason);
        reject(signal.reason);
      });
      void gate.handler(job);
    });
  };
  await using started = await TestWorker.start(sim.env, { handler, slots: 2 });
  sim.submit(1, { id: 'j1' });
  sim.submit(2, { id: 'j2' });
  await gate.started.count(2);
  sim.stopJob('j1');
  expect(await aborted.promise).toMatchObject({ code: 'job.stopped' });
  await gate.finish('j2');
  await sim.result('j2');
  started.worker.finish();
  await started.worker.done;
  expect(sim.posts.map((post) => post.ids[1])).toEqual(['j2']);
});

test('a job that is stopped while it waits for a slot never starts', async () => {
  await using sim = await startRunpodSimulator({ stopHoldMs: 1 });
  const gate = new Gate();
  await using started = await TestWorker.start(sim.env, {
    handler: gate.handler,
    slots: 2,
    queueOptions: { clock: new InstantClock() },
  });
  const text = '[{"id":"a","input":1},{"id":"b","input":2},{"id":"c","input":3}]';
  sim.faults.next('job-take-batch', { status: 200, text });
  await gate.started.count(2);
  sim.faults.next('job-stop', { status: 200, text: '{"jobsToStop":["c",7]}' });
  await sim.until(() => !started.worker.jobIds.includes('c'));
  await gate.finish('a');
  await gate.finish('b');
  await sim.until(() => sim.posts.length === 2);
  expect(gate.started.all).toEqual(['a', 'b']);
});

test('a handler that ignores its stop has its result thrown away, and its slot is free', async () => {
  await using sim = await startRunpodSimulator();
  const gate = new Gate();
  const told = Promise.withResolvers<undefined>();
  const handler = (job: Job, { signal }: JobContext) => {
    signal.addEventListener('abort', () => told.resolve(undefined));
    return gate.handler(job);
  };
  await using started = await TestWorker.start(sim.env, { handler });
  const ignored = sim.submit(1);
  await gate.started.count(1);
  sim.stopJob(ignored);
  await told.promise;
  await gate.finish(ignored);
  await started.lines.first((line) => line.message === 'Job stopped.');
  const next = sim.submit(2);
  await gate.finish(next);
  await sim.result(next);
  expect(sim.violations).toEqual([]);
});

test('a handler that never ends after a stop keeps its slot for a moment only', async () => {
  await using sim = await startRunpodSimulator();
  const gate = new Gate();
  await using started = await TestWorker.start(sim.env, {
    handler: gate.handler,
    clock: new InstantClock(),
  });
  const ignored = sim.submit(1);
  await gate.started.count(1);
  sim.stopJob(ignored);
  const next = sim.submit(2);
  await gate.finish(next);
  await sim.result(next);
  await gate.finish(ignored);
  started.worker.finish();
  await started.worker.done;
  expect(sim.violations).toEqual([]);
});
