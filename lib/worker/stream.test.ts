import { expect, test } from '@jest/globals';
import { startRunpodSimulator, type RunpodSimulator } from '../simulator/stand-ins/runpod.ts';
import type { Handler } from '../queues/job.ts';
import { isStream } from './stream.ts';
import { TestWorker } from './test-worker.ts';

const chunksOf = (sim: RunpodSimulator) =>
  sim.posts.filter((post) => post.route === 'job-stream').map((post) => post.body);

async function* yielding(...values: unknown[]) {
  for (const value of values) yield await Promise.resolve(value);
}

/** The post that ended the one job of this handler. */
async function resultOf(sim: RunpodSimulator, handler: Handler, aggregateStream = false) {
  await using _ = await TestWorker.start(sim.env, { handler, aggregateStream });
  return await sim.result(sim.submit(1));
}

test('W31 the values of a generator are posted in order, and then an empty result', async () => {
  await using sim = await startRunpodSimulator();
  const result = await resultOf(sim, () => yielding('a', { n: 1 }));
  expect(chunksOf(sim)).toEqual([{ output: 'a' }, { output: { n: 1 } }]);
  expect(result.body).toEqual({ output: [] });
  expect(result.query.isStream).toBe('true');
  expect(sim.posts.slice(0, 2).map((post) => post.query.isStream)).toEqual(['false', 'false']);
});

test('W32 with aggregation the result has the values too', async () => {
  await using sim = await startRunpodSimulator();
  const result = await resultOf(sim, () => yielding('a', 'b'), true);
  expect(chunksOf(sim)).toHaveLength(2);
  expect(result.body).toEqual({ output: ['a', 'b'] });
});

test('W33 a value with an error ends the stream, and the handler is told', async () => {
  await using sim = await startRunpodSimulator();
  let left = false;
  async function* handler() {
    try {
      yield* yielding('a', { error: 'e' }, 'never');
    } finally {
      left = true;
    }
  }
  const result = await resultOf(sim, handler, true);
  expect(chunksOf(sim)).toEqual([{ output: 'a' }]);
  expect(result.body).toEqual({ error: 'e' });
  expect(result.query.isStream).toBe('true');
  expect(left).toBe(true);
});

test('W34 a generator that throws fails the job with message and trace', async () => {
  await using sim = await startRunpodSimulator();
  async function* breakingHandler() {
    yield await Promise.resolve('a');
    throw new RangeError('no more');
  }
  const result = await resultOf(sim, breakingHandler);
  const { error } = result.body as { error: string };
  expect(error).toMatch(/^handler: no more \ntraceback: RangeError: no more\n/);
  expect(error).toContain('breakingHandler');
  expect(error).not.toMatch(/\.ts/);
  expect(error).not.toContain(process.cwd());
});

test('W35 a slow platform neither slows the generator down nor changes the order', async () => {
  await using sim = await startRunpodSimulator();
  sim.faults.whenever(({ route }) => (route === 'job-stream' ? { delayMs: 10 } : undefined));
  let postedWhenDone = -1;
  async function* handler() {
    yield* yielding(...Array(100).keys());
    postedWhenDone = sim.posts.length;
  }
  const result = await resultOf(sim, handler);
  expect(postedWhenDone).toBeLessThan(50);
  expect(chunksOf(sim)).toEqual(Array.from({ length: 100 }, (_, output) => ({ output })));
  const lastChunk = sim.posts.findLast((post) => post.route === 'job-stream');
  expect(result.at).toBeGreaterThanOrEqual(lastChunk!.answeredAt!);
});

test('W36 a chunk refused twice is delivered before later ones', async () => {
  await using sim = await startRunpodSimulator();
  sim.faults.next('job-stream', { status: 503 }, 2);
  const result = await resultOf(sim, () => yielding('a', 'b'));
  expect(chunksOf(sim)).toEqual(['a', 'a', 'a', 'b'].map((output) => ({ output })));
  expect(result.body).toEqual({ output: [] });
});

test('a chunk the platform refuses for good fails the job: a stream has no gaps', async () => {
  await using sim = await startRunpodSimulator();
  sim.faults.next('job-stream', { status: 413 });
  const result = await resultOf(sim, () => yielding('a', 'b'));
  expect(result.body).toEqual({ error: expect.stringContaining('413') as unknown });
  expect(chunksOf(sim)).toHaveLength(1);
});

test('generators of every kind stream; strings, arrays, maps and bytes do not', () => {
  function* generator() {
    yield 1;
  }
  expect([generator(), yielding(), [1].values()].map(isStream)).toEqual([true, true, true]);
  expect(['text', [1], new Map(), Buffer.from('a'), { next: 1 }, null].some(isStream)).toBe(false);
});
