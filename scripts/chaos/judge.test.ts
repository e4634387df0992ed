import { expect, test } from '@jest/globals';
import { judge } from './judge.ts';
import { historyOf, type JobStory, type RunStory } from './stories.ts';

const run = (what: 'started' | 'executed', at: number) => ({ what, at, jobId: 'j', pid: 1 });

/** A job that was submitted at 0, ran at 10 and had its result at 30. */
const job = (more: Partial<JobStory> = {}): JobStory => ({
  jobId: 'j',
  submittedAt: 0,
  status: 'COMPLETED',
  redeliveries: [],
  resultAt: 30,
  posts: [{ at: 30, what: 'result' }],
  runs: [run('started', 10), run('executed', 20)],
  broken: [],
  ...more,
});

const story = (jobs: readonly JobStory[], more: Partial<RunStory> = {}): RunStory => ({
  jobs,
  faults: [],
  workerEnds: [{ at: 100, how: 0, after: 'SIGTERM' }],
  leftovers: [],
  complaints: [],
  memory: [],
  hasFixedHeap: false,
  ...more,
});

const breaches = (one: JobStory, more: Partial<RunStory> = {}) =>
  judge(story([one], more)).map(({ text }) => text);

const killed = { kind: 'ComfyUI: kill -9', at: 15 } as const;

test('a run in which every job had its result has no breach', () => {
  expect(judge(story([job(), job()]))).toEqual([]);
});

test.each(['IN_QUEUE', 'IN_PROGRESS'] as const)('a job that stays %s is a breach', (status) => {
  expect(breaches(job({ status, resultAt: undefined, runs: [] }))).toEqual([
    `it has no result and was not cancelled (${status})`,
  ]);
});

test('a success without an execution is a breach', () => {
  expect(breaches(job({ runs: [run('started', 10)] }))).toEqual([
    'it succeeded, but ComfyUI never executed it',
  ]);
});

test('a result with the file of another job is a breach', () => {
  expect(breaches(job({ wrongOutput: 'its result has []' }))).toEqual(['its result has []']);
});

test('a second, different result is a breach', () => {
  expect(breaches(job({ broken: ['conflicting result'] }))[0]).toContain('conflicting result');
});

test('a post right after a cancel is not a breach, a late one is', () => {
  const cancelled = { status: 'CANCELLED', cancelledAt: 25, resultAt: undefined } as const;
  const broken = ['post for a stopped job'] as const;
  expect(breaches(job({ ...cancelled, broken }))).toEqual([]);
  const late = job({ ...cancelled, broken, posts: [{ at: 60_000, what: 'result' }] });
  expect(breaches(late)[0]).toContain('post for a stopped job');
});

test('a second run is a breach unless a fault came between, and so is a third', () => {
  const twice = [...job().runs, run('started', 21), run('executed', 25)];
  expect(breaches(job({ runs: twice }))).toEqual([
    'it ran 2 times, and nothing had happened in between',
  ]);
  expect(breaches(job({ runs: twice }), { faults: [killed] })).toEqual([]);
  const thrice = [...twice, run('started', 26), run('executed', 29)];
  expect(breaches(job({ runs: thrice }), { faults: [killed] })).toEqual([
    'it ran 3 times, and was handed out 1 times',
  ]);
  const redeliveries = [{ at: 22, why: 'worker ended' }] as const;
  expect(breaches(job({ runs: thrice, redeliveries }), { faults: [killed] })).toEqual([]);
});

test('a run after the result is a breach', () => {
  const runs = [...job().runs, run('started', 500)];
  expect(breaches(job({ runs }), { faults: [killed] })).toEqual([
    'it ran when nobody waited for it, 470 ms late',
  ]);
});

test('a job that the worker forgot is a breach unless the platform was cut off', () => {
  const forgotten = job({ redeliveries: [{ at: 20, why: 'not in heartbeats' }] });
  expect(breaches(forgotten)).toEqual(['the worker had it and forgot it without a result']);
  const faults = [{ kind: 'platform: connections dropped', at: 15 }] as const;
  expect(breaches(forgotten, { faults })).toEqual([]);
});

test('a worker that ends by itself is a breach, and a last worker that does not end with 0', () => {
  const fell = { at: 50, how: 1, after: undefined };
  const ends = story([]).workerEnds;
  expect(judge(story([], { workerEnds: [fell, ...ends] }))).toHaveLength(1);
  expect(judge(story([], { workerEnds: [{ ...fell, after: 'SIGKILL' }, ...ends] }))).toEqual([]);
  expect(judge(story([], { workerEnds: [{ ...fell, after: 'SIGTERM' }] }))).toHaveLength(1);
});

test('leftovers and complaints are breaches', () => {
  expect(judge(story([], { leftovers: ['a file is left'], complaints: ['leak'] }))).toHaveLength(2);
});

test('growing memory is a breach in a long run with a fixed heap only', () => {
  const memory = [100, 100, 100, 100, 120, 120];
  const long = Array.from({ length: 30_000 }, () => job());
  expect(judge(story(long, { memory, hasFixedHeap: true }))).toHaveLength(1);
  expect(judge(story(long, { memory }))).toEqual([]);
  expect(judge(story([job()], { memory, hasFixedHeap: true }))).toEqual([]);
  const flat = [80, 90, 100, 100, 105, 105];
  expect(judge(story(long, { memory: flat, hasFixedHeap: true }))).toEqual([]);
});

test('the history of a job is in order, with the faults around it', () => {
  const lines = historyOf(job(), [killed]);
  expect(lines.map((line) => line.replace(/^.* s {2}/, ''))).toEqual([
    ...['submitted', 'ComfyUI 1: started', '-- fault: ComfyUI: kill -9', 'ComfyUI 1: executed'],
    ...['posted: result', 'result accepted'],
  ]);
});
