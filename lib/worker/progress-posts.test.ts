import { expect, test } from '@jest/globals';
import { ManualClock } from '../clock.ts';
import { startRunpodSimulator } from '../simulator/stand-ins/runpod.ts';
import type { Job, JobContext } from '../queues/queue.ts';
import { ProgressPosts } from './progress-posts.ts';
import { Events, InstantClock, TestWorker } from './test-worker.ts';

function startProgress(intervalMs = 1000) {
  const clock = new ManualClock();
  const posted = new Events<unknown>();
  const release: (() => void)[] = [];
  const post = (value: unknown, signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      posted.add(value);
      release.push(resolve);
      signal.addEventListener('abort', () => resolve());
    });
  return { clock, posted, release, progress: new ProgressPosts({ clock, intervalMs, post }) };
}

test('progress is posted in order, before the result and never after it', async () => {
  await using sim = await startRunpodSimulator();
  const handler = async (_: Job, context: JobContext) => {
    for (const percent of [1, 2, 3]) {
      const posted = sim.nextPost();
      context.progress({ percent });
      await posted;
    }
    context.progress({ percent: 4 });
    return 'done';
  };
  await using _ = await TestWorker.start(sim.env, { handler, progressIntervalMs: 1 });
  const jobId = sim.submit(1);
  await sim.result(jobId);
  const bodies = sim.posts.map((post) => post.body);
  expect(bodies.slice(0, 3)).toEqual(
    [1, 2, 3].map((percent) => ({ status: 'IN_PROGRESS', output: { percent } })),
  );
  expect(bodies.at(-1)).toEqual({ output: 'done' });
  expect(sim.posts.every((post) => post.query.isStream === 'false')).toBe(true);
  expect(sim.violations).toEqual([]);
});

test('a progress post that hangs delays the result by a moment only', async () => {
  await using sim = await startRunpodSimulator();
  sim.faults.next('job-done', 'hang');
  const handler = async (_: Job, context: JobContext) => {
    const posted = sim.nextPost();
    context.progress(1);
    await posted;
    return 'done';
  };
  const clock = new InstantClock();
  await using _ = await TestWorker.start(sim.env, { handler, progressIntervalMs: 1, clock });
  expect((await sim.result(sim.submit(1))).body).toEqual({ output: 'done' });
});

test('a progress post that fails is skipped without a warning', async () => {
  await using sim = await startRunpodSimulator();
  sim.faults.next('job-done', { status: 500 });
  const handler = async (_: Job, context: JobContext) => {
    const posted = sim.nextPost();
    context.progress(1);
    await posted;
  };
  await using started = await TestWorker.start(sim.env, { handler, progressIntervalMs: 1 });
  await sim.result(sim.submit(1));
  expect(sim.posts).toHaveLength(2);
  expect(started.messages('WARN')).toEqual([]);
});

test('nothing is posted in the first interval, so a quick job posts no progress', async () => {
  const { clock, posted, progress } = startProgress();
  progress.update(1);
  progress.update(2);
  clock.advance(999);
  await progress.end();
  clock.advance(5000);
  expect(posted.all).toEqual([]);
});

test('of many values in an interval the latest is posted', async () => {
  const { clock, posted, release, progress } = startProgress();
  progress.update(1);
  progress.update(2);
  clock.advance(1000);
  await posted.count(1);
  progress.update(3);
  progress.update(4);
  release[0]?.();
  while (clock.sleepers === 0) await Promise.resolve();
  clock.advance(1000);
  await posted.count(2);
  release[1]?.();
  await progress.end();
  expect(posted.all).toEqual([2, 4]);
});

test('the end waits for an open post, at most two seconds', async () => {
  const { clock, posted, progress } = startProgress();
  progress.update(1);
  clock.advance(1000);
  await posted.count(1);
  let ended = false;
  const ending = progress.end().then(() => (ended = true));
  while (clock.sleepers === 0) await Promise.resolve();
  clock.advance(1999);
  await new Promise((resolve) => setImmediate(resolve));
  expect(ended).toBe(false);
  clock.advance(1);
  await ending;
  progress.update(2);
  expect(posted.all).toEqual([1]);
});

test('an interval of 0 turns progress off', async () => {
  const { clock, posted, progress } = startProgress(0);
  progress.update(1);
  clock.advance(10_000);
  await progress.end();
  expect(posted.all).toEqual([]);
});
