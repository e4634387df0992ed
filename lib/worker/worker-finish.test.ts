import { expect, test } from '@jest/globals';
import { ManualClock } from '../clock.ts';
import { startRunpodSimulator } from '../simulator/stand-ins/runpod.ts';
import type { Job } from '../queues/queue.ts';
import { Gate, TestWorker } from './test-worker.ts';

const echo = (job: Job) => job.input.value();

test('a worker that is told to finish while a job runs finishes it, posts its result and takes no more', async () => {
  await using sim = await startRunpodSimulator();
  const gate = new Gate();
  await using started = await TestWorker.start(sim.env, { handler: gate.handler });
  const jobId = sim.submit(1);
  sim.submit('for another worker');
  await gate.started.count(1);
  started.worker.finish();
  started.worker.finish();
  await gate.finish(jobId);
  await started.worker.done;
  expect(sim.job(jobId)?.output).toBe('done');
  expect(sim.takes).toHaveLength(1);
  expect(started.worker.jobIds).toEqual([]);
});

test('an idle worker that is told to finish leaves its open poll after 300 ms and ends', async () => {
  await using sim = await startRunpodSimulator();
  const clock = new ManualClock();
  const asked = sim.nextTake();
  await using started = await TestWorker.start(sim.env, { handler: echo, clock });
  await asked;
  started.worker.finish();
  while (clock.sleepers === 0) await Promise.resolve();
  clock.advance(300);
  await started.worker.done;
  expect(sim.takes).toHaveLength(1);
});

test('a job that arrives just after the worker was told to finish is run and posted', async () => {
  await using sim = await startRunpodSimulator();
  const asked = sim.nextTake();
  await using started = await TestWorker.start(sim.env, { handler: echo });
  await asked;
  started.worker.finish();
  const jobId = sim.submit('late');
  await started.worker.done;
  expect(sim.job(jobId)?.output).toBe('late');
});

test('a worker that is told to finish while its takes fail does not wait for the next take', async () => {
  await using sim = await startRunpodSimulator();
  sim.faults.next('job-take', { status: 429 });
  const clock = new ManualClock(); // nobody moves it
  await using started = await TestWorker.start(sim.env, { handler: echo, clock });
  await started.lines.first((line) => line.message === 'Taking jobs failed');
  started.worker.finish();
  await started.worker.done;
  expect(sim.takes).toHaveLength(1);
});

test('results that cannot be posted while the worker ends stay on disk, with a warning', async () => {
  await using sim = await startRunpodSimulator();
  sim.faults.whenever(({ route }) => (route === 'job-done' ? 'hang' : undefined));
  await using started = await TestWorker.start(sim.env, {
    handler: echo,
    posting: { drainMs: 1 },
  });
  const jobId = sim.submit('hi');
  await sim.until(() => sim.posts.length === 1);
  started.worker.finish();
  await started.worker.done;
  const line = await started.lines.first(({ level }) => level === 'WARN');
  expect(line).toMatchObject({
    requestId: jobId,
    message: 'The result is kept on disk; it is posted later, or at the next start',
  });
});

test('a killed worker posts nothing for the jobs that ran', async () => {
  await using sim = await startRunpodSimulator();
  const gate = new Gate();
  const reasons: unknown[] = [];
  const handler = (job: Job, { signal }: { signal: AbortSignal }) => {
    signal.addEventListener('abort', () => {
      reasons.push(signal.reason);
      void gate.finish(job.jobId);
    });
    return gate.handler(job);
  };
  await using started = await TestWorker.start(sim.env, { handler });
  sim.submit(1);
  await gate.started.count(1);
  started.worker.kill();
  await started.worker.done;
  expect(sim.posts).toEqual([]);
  expect(reasons).toMatchObject([{ code: 'job.stopped' }]);
});
