import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { startRunpodSimulator, type RunpodSimulator } from '../simulator/stand-ins/runpod.ts';
import type { Job } from '../queues/queue.ts';
import { mountFullDisk } from './test-full-disk.ts';
import { Gate, InstantClock, TestWorker } from './test-worker.ts';

const echo = (job: Job) => job.input.value();
const postsOf = (sim: RunpodSimulator, jobId: string) =>
  sim.posts.filter((post) => post.ids[1] === jobId);
const filesIn = (dir: string) => readdir(dir).catch(() => []);

async function nothingIn(dir: string): Promise<void> {
  while ((await filesIn(dir)).length > 0) await new Promise((resolve) => setImmediate(resolve));
}

test('every post carries the id of its own job, also when it is retried', async () => {
  await using sim = await startRunpodSimulator();
  sim.faults.next('job-done', { status: 500 });
  await using _ = await TestWorker.start(sim.env, { handler: echo });
  const jobIds = [sim.submit(1), sim.submit(2), sim.submit(3)];
  await Promise.all(jobIds.map((jobId) => sim.result(jobId)));
  expect(sim.posts).toHaveLength(4);
  for (const post of sim.posts) expect(post.headers['x-request-id']).toBe(post.ids[1]);
});

test('a result refused twice with 500 arrives with the third, identical post', async () => {
  await using sim = await startRunpodSimulator();
  sim.faults.next('job-done', { status: 500 }, 2);
  await using started = await TestWorker.start(sim.env, { handler: echo });
  const jobId = sim.submit('hi');
  await sim.result(jobId);
  expect(postsOf(sim, jobId).map((post) => post.bodyText)).toEqual(
    Array(3).fill('{"output":"hi"}'),
  );
  await nothingIn(started.spoolDir);
});

test.each([
  ['429', { status: 429 }],
  ['408', { status: 408 }],
  ['401', { status: 401 }],
  ['a reset', 'reset'],
  ['a lost answer', 'lose-answer'],
] as const)('after %s the result is posted again and there is one result', async (_name, fault) => {
  await using sim = await startRunpodSimulator();
  sim.faults.next('job-done', fault);
  await using started = await TestWorker.start(sim.env, { handler: echo });
  const jobId = sim.submit('hi');
  await started.lines.first((line) => line.message === 'Finished.');
  expect(sim.job(jobId)?.output).toBe('hi');
  expect(postsOf(sim, jobId)).toHaveLength(2);
  expect(sim.violations).toEqual([]);
});

test('through a minute of refusals the job stays held, others go on, and the result arrives', async () => {
  await using sim = await startRunpodSimulator();
  const clock = new InstantClock();
  const heard = new Set<string>();
  const heal = sim.faults.whenever(({ route, ids }) =>
    route === 'job-done' && ids[1] === 'patient' && clock.now() < 60_000
      ? { status: 503 }
      : undefined,
  );
  await using started = await TestWorker.start(sim.env, {
    handler: echo,
    clock,
    posting: { timeoutMs: 600_000 },
    onJobsChange: (jobIds) => jobIds.forEach((jobId) => heard.add(jobId)),
  });
  sim.submit('hi', { id: 'patient' });
  const other = sim.submit('other');
  await sim.result(other);
  expect((await sim.result('patient')).body).toEqual({ output: 'hi' });
  heal();
  expect(clock.now()).toBeGreaterThanOrEqual(60_000);
  expect(clock.pauses.length).toBeLessThan(20);
  expect(heard).toEqual(new Set(['patient', other]));
  await started.lines.first((line) => line.message === 'Finished.' && line.requestId === 'patient');
});

test('a result that cannot be posted in time is logged and stays on disk', async () => {
  await using sim = await startRunpodSimulator();
  const heal = sim.faults.whenever(({ route }) =>
    route === 'job-done' ? { status: 503 } : undefined,
  );
  await using started = await TestWorker.start(sim.env, {
    handler: echo,
    clock: new InstantClock(),
    expectedErrors: ['The result could not be posted in time'],
  });
  sim.submit('hi');
  const finished = await started.lines.first((line) => line.message === 'Finished.');
  heal();
  expect(finished.fate).toBe('kept');
  expect(await filesIn(started.spoolDir)).toHaveLength(1);
  expect(started.worker.jobIds).toEqual([]);
});

test.each([400, 413])(
  'a result refused with %i is posted once, and then a small failure that explains it',
  async (status) => {
    await using sim = await startRunpodSimulator();
    const fault = { status, text: 'too big' };
    sim.faults.whenever(({ bodyBytes }) => (bodyBytes > 1000 ? fault : undefined));
    await using _ = await TestWorker.start(sim.env, {
      handler: () => 'x'.repeat(3_000_000),
      tooLargeHint: 'set BUCKET_ENDPOINT_URL',
      expectedErrors: ['The platform refused the result'],
    });
    const jobId = sim.submit(1);
    await sim.until(() => postsOf(sim, jobId).length > 0 && sim.job(jobId)?.status === 'FAILED');
    expect(sim.job(jobId)?.error).toMatch(/3,000,013 bytes.*RESULT_MAX_BYTES.*BUCKET_ENDPOINT_URL/);
    expect(sim.posts.map((post) => post.bodyBytes < 1000)).toEqual([false, true]);
  },
);

test('when the platform refuses even the small failure, nothing more is posted', async () => {
  await using sim = await startRunpodSimulator();
  sim.faults.next('job-done', { status: 400 }, 2);
  await using started = await TestWorker.start(sim.env, {
    handler: echo,
    expectedErrors: ['The platform refused the result'],
  });
  sim.submit(1);
  await started.lines.first((line) => line.message === 'Finished.');
  await sim.result(sim.submit(2));
  expect(sim.posts).toHaveLength(3);
});

test('a result for a job that the platform has forgotten is given up with a warning', async () => {
  await using sim = await startRunpodSimulator();
  sim.faults.next('job-done', { status: 404 });
  await using started = await TestWorker.start(sim.env, { handler: echo });
  sim.submit(1);
  await started.lines.first((line) => line.message === 'Finished.');
  expect(started.messages('WARN')).toEqual(['The result is given up: the job is gone']);
  expect(sim.posts).toHaveLength(1);
});

test('when too many results wait, no more jobs are taken until one is delivered', async () => {
  await using sim = await startRunpodSimulator();
  const stuck = sim.faults.whenever(({ route }) =>
    route === 'job-done' ? { status: 503 } : undefined,
  );
  const gate = new Gate();
  await using _ = await TestWorker.start(sim.env, {
    handler: gate.handler,
    clock: new InstantClock(),
    posting: { backlog: 2, timeoutMs: Infinity },
  });
  const jobIds = [1, 2, 3].map((input) => sim.submit(input));
  await gate.finish(jobIds[0]!);
  await gate.finish(jobIds[1]!);
  await sim.until(() => sim.posts.length >= 4);
  expect(sim.takes).toHaveLength(2);
  expect(gate.started.all).toHaveLength(2);
  stuck();
  await gate.finish(jobIds[2]!);
  await Promise.all(jobIds.map((jobId) => sim.result(jobId)));
});

test('when too many bytes of results wait, no more jobs are taken', async () => {
  await using sim = await startRunpodSimulator();
  const stuck = sim.faults.whenever(({ route }) =>
    route === 'job-done' ? { status: 503 } : undefined,
  );
  await using _ = await TestWorker.start(sim.env, {
    handler: () => 'x'.repeat(2000),
    clock: new InstantClock(),
    posting: { backlogBytes: 1000, timeoutMs: Infinity },
  });
  const jobIds = [sim.submit(1), sim.submit(2)];
  await sim.until(() => sim.posts.length >= 3);
  expect(sim.takes).toHaveLength(1);
  stuck();
  await Promise.all(jobIds.map((jobId) => sim.result(jobId)));
});

test('a result that a killed worker could not post is posted by the next one, without running the job again', async () => {
  await using sim = await startRunpodSimulator();
  const heal = sim.faults.whenever(({ route }) =>
    route === 'job-done' ? { status: 503 } : undefined,
  );
  await using first = await TestWorker.start(sim.env, { handler: echo });
  const jobId = sim.submit('hi');
  await sim.until(() => sim.posts.length >= 2);
  first.worker.kill();
  await first.worker.done;
  expect(await filesIn(first.spoolDir)).toHaveLength(1);
  heal();
  const { spoolDir } = first;
  await using _ = await TestWorker.start(sim.env, { handler: echo, posting: { spoolDir } });
  expect((await sim.result(jobId)).bodyText).toBe('{"output":"hi"}');
  await nothingIn(spoolDir);
});

test('when the folder cannot be written there is a warning, and the result still arrives', async () => {
  await using sim = await startRunpodSimulator();
  sim.faults.next('job-done', { status: 503 });
  await using started = await TestWorker.start(sim.env, {
    handler: echo,
    posting: { spoolDir: '/dev/null/results' },
  });
  await sim.result(sim.submit('hi'));
  await started.lines.first((line) => line.message === 'Finished.');
  expect(started.messages('WARN')).toContain('An undelivered result could not be written to disk');
});

test('a result that neither the platform nor the disk takes is posted until it arrives', async () => {
  await using sim = await startRunpodSimulator();
  const clock = new InstantClock();
  sim.faults.whenever(({ route }) =>
    route === 'job-done' && clock.now() < 600_000 ? { status: 503 } : undefined,
  );
  await using started = await TestWorker.start(sim.env, {
    handler: echo,
    clock,
    posting: { timeoutMs: 60_000, spoolDir: '/dev/null/results' },
  });
  expect((await sim.result(sim.submit('hi'))).body).toEqual({ output: 'hi' });
  await started.lines.first((line) => line.message === 'Finished.');
  expect(started.messages('WARN')).toContain('An undelivered result could not be written to disk');
});

test('on a full disk results stay in memory with a warning, and all arrive when the platform is well again', async () => {
  await using disk = await mountFullDisk();
  if (!disk) return;
  await using sim = await startRunpodSimulator();
  const clock = new InstantClock();
  sim.faults.whenever(({ route }) =>
    route === 'job-done' && clock.now() < 600_000 ? { status: 503 } : undefined,
  );
  const spoolDir = join(disk.folder, 'results');
  await mkdir(spoolDir).catch(() => undefined);
  await using started = await TestWorker.start(sim.env, {
    handler: () => 'x'.repeat(200_000),
    clock,
    slots: 3,
    posting: { timeoutMs: 60_000, spoolDir },
  });
  const jobIds = [sim.submit(1), sim.submit(2), sim.submit(3)];
  for (const jobId of jobIds) {
    await started.lines.first((line) => line.message === 'Finished.' && line.requestId === jobId);
    expect(sim.job(jobId)?.output).toHaveLength(200_000);
  }
  expect(started.messages('WARN')).toContain('An undelivered result could not be written to disk');
  expect(await filesIn(spoolDir)).toEqual([]);
});
