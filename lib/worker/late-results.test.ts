import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { toText } from '../json-body.ts';
import { JsonText } from '../json.ts';
import { startRunpodSimulator, type RunpodSimulator } from '../simulator/stand-ins/runpod.ts';
import type { Job } from '../queues/queue.ts';
import { LocalQueue } from '../queues/local/local-queue.ts';
import { Gate, InstantClock, TestWorker } from './test-worker.ts';

const echo = (job: Job) => job.input.value();
const postsOf = (sim: RunpodSimulator, jobId: string) =>
  sim.posts.filter((post) => post.ids[1] === jobId);
const filesIn = (dir: string) => readdir(dir).catch((): string[] => []);

async function nothingIn(dir: string): Promise<void> {
  while ((await filesIn(dir)).length > 0) await new Promise((resolve) => setImmediate(resolve));
}

test('a job that is taken again while its result is on disk is answered with it, and does not run', async () => {
  await using sim = await startRunpodSimulator();
  sim.faults.whenever(({ route }) => (route === 'job-done' ? { status: 503 } : undefined));
  await using first = await TestWorker.start(sim.env, { handler: () => 'old' });
  const jobId = sim.submit('hi');
  await sim.until(() => sim.posts.length >= 2);
  first.worker.kill();
  await first.worker.done;
  const { spoolDir } = first;
  const queue = new LocalQueue(); // gives its job before a disk can be read
  const job = { jobId, input: JsonText.of(1), source: JsonText.of({}) };
  const result = queue.submit(job);
  const gate = new Gate();
  await using _ = await TestWorker.start(sim.env, {
    handler: gate.handler,
    queue,
    posting: { spoolDir },
  });
  const { output } = await result;
  expect(output && toText(output)).toBe('"old"');
  await nothingIn(spoolDir);
  const again = queue.submit(job);
  await gate.finish(jobId, 'new');
  const second = await again;
  expect(second.output && toText(second.output)).toBe('"new"');
  expect(gate.started.all).toEqual([jobId]);
});

test('results written to disk before format 2 are posted as they were', async () => {
  await using sim = await startRunpodSimulator();
  await using first = await TestWorker.start(sim.env, { handler: echo });
  const spoolDir = join(first.spoolDir, 'left');
  await mkdir(spoolDir);
  const bodies = {
    all: '{"output":{"name":"ä.png","seed":1.0},"error":"some of it failed","stopPod":true}',
    plain: '{"output":"hi"}',
    failed: '{"error":"no \\"workflow\\""}',
  };
  for (const [jobId, body] of Object.entries(bodies)) {
    const header = `{"jobId":"${jobId}","isStream":false,"bytes":${Buffer.byteLength(body)}}`;
    const name = createHash('sha256').update(jobId).digest('hex');
    await writeFile(join(spoolDir, `${name}.result`), `${header}\n${body}`);
  }
  await using _ = await TestWorker.start(sim.env, { handler: echo, posting: { spoolDir } });
  await sim.until(() => sim.posts.length === 3);
  for (const [jobId, body] of Object.entries(bodies)) {
    expect(postsOf(sim, jobId).map((post) => post.bodyText)).toEqual([body]);
  }
  await nothingIn(spoolDir);
});

test('files in the folder that cannot be read are removed with a warning', async () => {
  await using sim = await startRunpodSimulator();
  await using first = await TestWorker.start(sim.env, { handler: echo });
  const spoolDir = join(first.spoolDir, 'left');
  await mkdir(spoolDir);
  await writeFile(join(spoolDir, 'a.result'), 'not json');
  await writeFile(join(spoolDir, 'b.result'), '{"jobId":"j","isStream":false,"bytes":7}\n{"ou');
  await writeFile(join(spoolDir, 'c.result.part'), '{"version":2,"jobId":"k"');
  await writeFile(join(spoolDir, 'note.txt'), 'somebody else keeps this here');
  await using second = await TestWorker.start(sim.env, { handler: echo, posting: { spoolDir } });
  while ((await filesIn(spoolDir)).length > 1) await second.lines.first(() => true);
  expect(await filesIn(spoolDir)).toEqual(['note.txt']);
  expect(second.messages('WARN')).toEqual(
    Array(2).fill('An undelivered result on disk cannot be read; it is removed'),
  );
  expect(sim.posts).toHaveLength(0);
  await rm(spoolDir, { recursive: true });
});

test('a result of a newer worker stays on disk, with one warning that names the formats', async () => {
  await using sim = await startRunpodSimulator();
  await using first = await TestWorker.start(sim.env, { handler: echo });
  const spoolDir = join(first.spoolDir, 'left');
  await mkdir(spoolDir);
  await writeFile(join(spoolDir, 'a.result'), '{"version":3,"jobId":"k"}\n"from a newer worker"');
  await using second = await TestWorker.start(sim.env, {
    handler: echo,
    clock: new InstantClock(),
    posting: { spoolDir },
  });
  await sim.result(sim.submit(1));
  second.worker.finish();
  await second.worker.done; // looks once more
  expect(await filesIn(spoolDir)).toEqual(['a.result']);
  const warnings = second.lines.all.filter(({ level }) => level === 'WARN');
  expect(warnings.map(({ reason }) => reason)).toEqual([
    'it has format 3; this worker reads up to format 2',
  ]);
});

test('results that could not be posted in time are posted after the next result that the platform takes', async () => {
  await using sim = await startRunpodSimulator();
  const heal = sim.faults.whenever(({ route }) =>
    route === 'job-done' ? { status: 503 } : undefined,
  );
  const clock = new InstantClock();
  await using started = await TestWorker.start(sim.env, {
    handler: echo,
    clock,
    slots: 2,
    expectedErrors: ['The result could not be posted in time'],
  });
  const late = [sim.submit('one'), sim.submit('two')];
  while ((await filesIn(started.spoolDir)).length < 2 || started.worker.jobIds.length > 0)
    await new Promise((resolve) => setImmediate(resolve));
  heal();
  await sim.result(sim.submit('next'));
  const posted = await Promise.all(late.map((jobId) => sim.result(jobId)));
  expect(posted.map(({ body }) => body)).toEqual([{ output: 'one' }, { output: 'two' }]);
  await nothingIn(started.spoolDir);
});

test('a worker that is told to finish tries its late results once more', async () => {
  await using sim = await startRunpodSimulator();
  let isWell = false;
  sim.faults.whenever(({ route }) =>
    route === 'job-done' && !isWell ? { status: 503 } : undefined,
  );
  await using started = await TestWorker.start(sim.env, {
    handler: echo,
    posting: { timeoutMs: 0 },
    expectedErrors: ['The result could not be posted in time'],
  });
  sim.submit('hi', { id: 'late' });
  await started.lines.first(({ fate }) => fate === 'kept');
  isWell = true;
  started.worker.finish();
  await started.worker.done;
  expect(sim.job('late')?.output).toBe('hi');
  expect(await filesIn(started.spoolDir)).toEqual([]);
});

test('setting the clock of the machine by a day neither drops a result on disk nor ends its attempts', async () => {
  await using sim = await startRunpodSimulator();
  let isWell = false;
  sim.faults.whenever(({ route }) =>
    route === 'job-done' && !isWell ? { status: 503 } : undefined,
  );
  await using first = await TestWorker.start(sim.env, { handler: echo });
  const realNow = Date.now;
  try {
    const jobId = sim.submit('hi');
    await sim.until(() => sim.posts.length >= 1);
    for (const hours of [25, -25]) {
      Date.now = () => realNow() + hours * 3_600_000;
      const posts = sim.posts.length;
      await sim.until(() => sim.posts.length > posts);
    }
    expect(first.worker.jobIds).toEqual([jobId]);
    first.worker.kill();
    await first.worker.done;
    Date.now = () => realNow() + 25 * 3_600_000;
    isWell = true;
    const { spoolDir } = first;
    await using _ = await TestWorker.start(sim.env, { handler: echo, posting: { spoolDir } });
    expect((await sim.result(jobId)).body).toEqual({ output: 'hi' });
    await nothingIn(spoolDir);
  } finally {
    Date.now = realNow;
  }
});
