import { expect, test } from '@jest/globals';
import { startRunpodSimulator } from '../simulator/stand-ins/runpod.ts';
import type { Job } from '../queues/queue.ts';
import { Gate, InstantClock, TestWorker } from './test-worker.ts';

const echo = (job: Job) => job.input.value();

test('an idle worker asks for one job, says that it holds none, and sends the key without Bearer', async () => {
  await using sim = await startRunpodSimulator();
  const asked = sim.nextTake();
  await using _ = await TestWorker.start(sim.env, { handler: echo });
  const take = await asked;
  expect(take.method).toBe('GET');
  expect(take.path).toBe('/v2/simulated/job-take/simulated-pod');
  expect(take.query).toEqual({ gpu: 'Simulated GPU', job_in_progress: '0' });
  expect(take.headers.authorization).toBe(sim.env.RUNPOD_AI_API_KEY);
  expect(take.headers['user-agent']).toMatch(/^comfyui-worker\/\S+ \(.+; .+\) Language\/Node \d/);
});

test('a worker with four free slots asks for a batch of four', async () => {
  await using sim = await startRunpodSimulator();
  const asked = sim.nextTake();
  await using _ = await TestWorker.start(sim.env, { handler: echo, slots: 4 });
  const take = await asked;
  expect(take.path).toBe('/v2/simulated/job-take-batch/simulated-pod');
  expect(take.query).toEqual({ gpu: 'Simulated GPU', batch_size: '4', job_in_progress: '0' });
});

test('with four slots and one job running, three more jobs are asked for', async () => {
  await using sim = await startRunpodSimulator();
  const gate = new Gate();
  await using _ = await TestWorker.start(sim.env, { handler: gate.handler, slots: 4 });
  const asked = sim.nextTake((take) => take.query.job_in_progress === '1');
  const jobId = sim.submit(1);
  expect((await asked).query.batch_size).toBe('3');
  await gate.finish(jobId);
  await sim.result(jobId);
});

test('with two slots and one job running, one more job is asked for, not a batch', async () => {
  await using sim = await startRunpodSimulator();
  const gate = new Gate();
  await using _ = await TestWorker.start(sim.env, { handler: gate.handler, slots: 2 });
  const asked = sim.nextTake((take) => take.query.job_in_progress === '1');
  const jobId = sim.submit(1);
  expect((await asked).route).toBe('job-take');
  await gate.finish(jobId);
  await sim.result(jobId);
});

test('a job that comes after empty polls is run, and nothing is logged about them', async () => {
  await using sim = await startRunpodSimulator({ takeHoldMs: 20 });
  await using started = await TestWorker.start(sim.env, { handler: echo });
  await sim.until(() => sim.takes.length >= 3);
  expect((await sim.result(sim.submit('hi'))).body).toEqual({ output: 'hi' });
  expect(started.messages('WARN')).toEqual([]);
});

test('a take answered with 400 means no job and logs no warning', async () => {
  await using sim = await startRunpodSimulator();
  sim.faults.next('job-take', { status: 400, text: 'paused' }, 2);
  await using started = await TestWorker.start(sim.env, { handler: echo });
  await sim.result(sim.submit(1));
  expect(started.messages('WARN')).toEqual([]);
});

test('after a 429 the next take is five seconds later, or as Retry-After says', async () => {
  await using sim = await startRunpodSimulator();
  const clock = new InstantClock();
  sim.faults.next('job-take', { status: 429 });
  sim.faults.next('job-take', { status: 429, headers: { 'retry-after': '17' } });
  await using _ = await TestWorker.start(sim.env, { handler: echo, clock });
  await sim.result(sim.submit(1));
  expect(clock.pauses.slice(0, 2)).toEqual([5000, 17_000]);
});

test.each([401, 403, 404, 500, 503])(
  'takes answered with %i are repeated after growing delays',
  async (status) => {
    await using sim = await startRunpodSimulator();
    const clock = new InstantClock();
    sim.faults.next('job-take', { status }, 12);
    await using started = await TestWorker.start(sim.env, { handler: echo, clock });
    await sim.result(sim.submit(1));
    const pauses = clock.pauses.slice(0, 12);
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(200);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(30_000);
    expect(pauses[11]).toBeGreaterThanOrEqual(15_000);
    expect(started.lines.all.find((line) => line.level === 'WARN')?.reason).toContain(
      String(status),
    );
  },
);

test('a platform that refuses connections is not asked more than five times a second', async () => {
  await using sim = await startRunpodSimulator();
  await sim.down();
  const clock = new InstantClock();
  await using started = await TestWorker.start(sim.env, { handler: echo, clock });
  while (clock.pauses.length < 5) await new Promise((resolve) => setImmediate(resolve));
  await sim.up();
  await sim.result(sim.submit(1));
  expect(Math.min(...clock.pauses.slice(0, 5))).toBeGreaterThanOrEqual(200);
  expect(started.lines.all.find((line) => line.level === 'WARN')?.reason).toContain('ECONNREFUSED');
});

test('after a connection is reset under a poll, the worker polls again soon', async () => {
  await using sim = await startRunpodSimulator();
  sim.faults.next('job-take', 'reset');
  await using _ = await TestWorker.start(sim.env, { handler: echo });
  await sim.result(sim.submit(1));
  expect(sim.takes.length).toBeLessThanOrEqual(3);
});

test('a platform that always answers at once without a job is asked at a bounded rate', async () => {
  await using sim = await startRunpodSimulator();
  const clock = new InstantClock();
  sim.faults.next('job-take', { status: 204 }, 30);
  await using _ = await TestWorker.start(sim.env, { handler: echo, clock });
  await sim.result(sim.submit(1));
  const pauses = clock.pauses.slice(0, 30);
  expect(Math.min(...pauses)).toBeGreaterThan(0);
  expect(Math.min(...pauses.slice(10))).toBeGreaterThanOrEqual(500);
});

test.each([
  ['a page', { status: 200, text: '<html>', headers: { 'content-type': 'text/html' } }],
  ['nothing', { status: 200, text: '' }],
  ['broken JSON', { status: 200, text: '{"id":' }],
  ['a bare value', { status: 200, text: '7' }],
])('an answer that is %s counts as no job, and the worker keeps asking', async (_name, fault) => {
  await using sim = await startRunpodSimulator();
  sim.faults.next('job-take', fault);
  await using _ = await TestWorker.start(sim.env, { handler: echo });
  expect((await sim.result(sim.submit(1))).body).toEqual({ output: 1 });
});

test('a job without input fails with a text that says so', async () => {
  await using sim = await startRunpodSimulator();
  await using _ = await TestWorker.start(sim.env, { handler: echo });
  const jobId = sim.submitText('{"id":"no-input","webhook":"x"}');
  expect((await sim.result(jobId)).body).toEqual({
    error: 'Expected job no-input to have an input; it has none',
  });
});

test('when an item of a batch has no id, the others run and the worker goes on', async () => {
  await using sim = await startRunpodSimulator();
  const text = '[{"id":"a","input":1},{"input":2},{"id":"c","input":3},null]';
  const ran: string[] = [];
  sim.faults.next('job-take-batch', { status: 200, text });
  const handler = (job: Job) => void ran.push(job.jobId);
  await using started = await TestWorker.start(sim.env, { handler, slots: 3 });
  await sim.until(() => sim.posts.length === 2);
  await sim.result(sim.submit(1, { id: 'later' }));
  expect(ran).toEqual(['a', 'c', 'later']);
  expect(started.messages('WARN')).toHaveLength(2);
});

test('jobs of a batch beyond the free slots run as slots become free', async () => {
  await using sim = await startRunpodSimulator();
  const text = '[{"id":"a","input":1},{"id":"b","input":2},{"id":"c","input":3}]';
  const gate = new Gate();
  sim.faults.next('job-take-batch', { status: 200, text });
  await using started = await TestWorker.start(sim.env, { handler: gate.handler, slots: 2 });
  await gate.started.count(2);
  expect(started.worker.jobIds).toEqual(['c', 'a', 'b']);
  expect(gate.started.all).toEqual(['a', 'b']);
  await gate.finish('a');
  await gate.finish('b');
  await gate.finish('c');
  await sim.until(() => sim.posts.length === 3);
});

test('a backlog of instant jobs is run without a delay between them', async () => {
  await using sim = await startRunpodSimulator();
  const clock = new InstantClock();
  const jobIds = Array.from({ length: 100 }, (_, index) => sim.submit(index));
  await using _ = await TestWorker.start(sim.env, { handler: echo, clock });
  await Promise.all(jobIds.map((jobId) => sim.result(jobId)));
  expect(clock.pauses).toEqual([]);
  expect(sim.takes.length).toBeLessThanOrEqual(101);
});

test('the next job is taken while the result of the last one is still being posted', async () => {
  await using sim = await startRunpodSimulator();
  sim.faults.next('job-done', { delayMs: 2000 });
  await using _ = await TestWorker.start(sim.env, { handler: echo });
  sim.submit(1);
  const second = sim.submit(2);
  await sim.until(() => sim.job(second)?.assignedAt !== undefined);
  expect(sim.posts[0]?.answeredAt).toBeUndefined();
});

test('a job that releases its slot is followed by the next one before its own result is ready', async () => {
  await using sim = await startRunpodSimulator();
  const gate = new Gate();
  const handler = (job: Job, context: { releaseSlot(): void }) => {
    context.releaseSlot();
    context.releaseSlot();
    return gate.handler(job);
  };
  await using _ = await TestWorker.start(sim.env, { handler });
  const [a, b] = [sim.submit(1), sim.submit(2)];
  await gate.started.count(2);
  expect(gate.started.all).toEqual([a, b]);
  await gate.finish(b);
  await sim.result(b);
  await gate.finish(a);
  await sim.result(a);
});

test('a job that is taken twice while it runs is run once and has one result', async () => {
  await using sim = await startRunpodSimulator();
  const gate = new Gate();
  await using started = await TestWorker.start(sim.env, { handler: gate.handler, slots: 2 });
  const jobId = sim.submit(1, { id: 'twin' });
  sim.submit(1, { id: 'twin' });
  await started.lines.first((line) => line.level === 'WARN');
  await gate.finish(jobId);
  await sim.result(jobId);
  const other = sim.submit('other');
  await gate.finish(other);
  await sim.result(other);
  expect(gate.started.all).toEqual(['twin', other]);
  expect(sim.posts.filter((post) => post.ids[1] === 'twin')).toHaveLength(1);
});
