import { expect, test } from '@jest/globals';
import { measureJson, valueOf } from '../../json-body.ts';
import { JsonText } from '../../json.ts';
import { LocalQueue } from './local-queue.ts';
import { toJobError, type EncodedResult, type Job, type JobUpdate } from '../queue.ts';

const outputOf = ({ output }: EncodedResult): unknown => output && valueOf(output);
const encoded = (value: unknown) => measureJson(value).encode();
const done = (output: unknown): JobUpdate => ({
  kind: 'result',
  result: { output: encoded(output) },
});

function jobOf(jobId: string): Job {
  const source = JsonText.of({ id: jobId, input: 1 });
  return { jobId, input: JsonText.of(1), source };
}

/** The worker's side of the queue. */
function workerOf(queue: LocalQueue) {
  const ending = new AbortController();
  const { signal } = ending;
  return {
    ending,
    stops: () => queue.stops(signal),
    take: async (limit = 1) => {
      const taken = await queue.take({ limit, busy: false, signal });
      return taken.map((one) => (one.kind === 'job' ? one.job.jobId : one.problem));
    },
    post: (jobId: string, update: JobUpdate) => queue.post(jobId, update),
  };
}

test('a job is taken at once, its progress is passed on, and its result resolves the submission', async () => {
  const queue = new LocalQueue();
  const worker = workerOf(queue);
  const progress: unknown[] = [];
  const taking = worker.take();
  const result = queue.submit(jobOf('j1'), {
    onProgress: (value) => progress.push(valueOf(value)),
  });
  expect(await taking).toEqual(['j1']);

  await worker.post('j1', { kind: 'progress', value: encoded({ percent: 50 }) });
  await worker.post('j1', done({ images: [] }));
  expect(progress).toEqual([{ percent: 50 }]);
  expect(outputOf(await result)).toEqual({ images: [] });
});

test('a failed job resolves with its error', async () => {
  const queue = new LocalQueue();
  const worker = workerOf(queue);
  const result = queue.submit(jobOf('j1'));
  await worker.take();
  const error = toJobError('input.workflow_missing', 'no workflow');
  await worker.post('j1', { kind: 'result', result: { error } });
  expect(await result).toEqual({ error });
  expect(error).toMatchObject({ owner: 'caller', retryable: false });
});

test('jobs are taken in the order they came, no more than asked for', async () => {
  const queue = new LocalQueue();
  const worker = workerOf(queue);
  const results = ['a', 'b', 'c'].map((jobId) => queue.submit(jobOf(jobId)));
  expect(await worker.take(2)).toEqual(['a', 'b']);
  expect(queue.waiting).toBe(1);
  expect(await worker.take(2)).toEqual(['c']);
  for (const jobId of ['a', 'b', 'c']) await worker.post(jobId, done(jobId));
  expect((await Promise.all(results)).map(outputOf)).toEqual(['a', 'b', 'c']);
});

test('a job that was stopped and sent again is handed over when the worker no longer holds it', async () => {
  const queue = new LocalQueue();
  const worker = workerOf(queue);
  const impatient = new AbortController();
  const first = queue.submit(jobOf('j1'), { signal: impatient.signal });
  await worker.take();
  impatient.abort(new Error('enough'));
  await expect(first).rejects.toThrow('enough');

  const again = queue.submit(jobOf('j1'));
  const other = queue.submit(jobOf('j2'));
  expect(await worker.take(2)).toEqual(['j2']);
  const taking = worker.take();
  queue.jobEnded('j1');
  expect(await taking).toEqual(['j1']);
  await worker.post('j1', done(1));
  await worker.post('j2', done(2));
  await Promise.all([again, other]);
});

test('the first of two results counts, and the worker is told that nobody waits for the second', async () => {
  const queue = new LocalQueue();
  const worker = workerOf(queue);
  const result = queue.submit(jobOf('j1'));
  await worker.take();
  await worker.post('j1', done(1));
  await expect(worker.post('j1', done(2))).rejects.toMatchObject({
    code: 'platform.job_unknown',
  });
  expect(outputOf(await result)).toBe(1);
});

test('an aborted take gets no job', async () => {
  const queue = new LocalQueue();
  const gone = workerOf(queue);
  const taking = gone.take();
  gone.ending.abort(new Error('gone'));
  await expect(taking).rejects.toThrow('gone');
  const worker = workerOf(queue);
  const result = queue.submit(jobOf('j1'));
  expect(await worker.take()).toEqual(['j1']);
  await worker.post('j1', done(1));
  await result;
});

test('onTaken is called, and previews are passed on only to a listener and only until the result', async () => {
  const queue = new LocalQueue();
  const worker = workerOf(queue);
  const told: string[] = [];
  const result = queue.submit(jobOf('j1'), {
    onTaken: () => told.push('taken'),
    onPreview: ({ mediaType }) => told.push(mediaType),
  });
  const blind = queue.submit(jobOf('j2'));
  expect(queue.previewListener('j1')).toBeUndefined();
  await worker.take(2);
  const show = queue.previewListener('j1');
  expect(queue.previewListener('j2')).toBeUndefined();
  show?.({ bytes: new Uint8Array(1), mediaType: 'image/jpeg' });
  await worker.post('j1', done(1));
  await worker.post('j2', done(2));
  await Promise.all([result, blind]);
  show?.({ bytes: new Uint8Array(1), mediaType: 'image/late' });
  expect(told).toEqual(['taken', 'image/jpeg']);
});

test('a waiting take ends when its signal aborts', async () => {
  const worker = workerOf(new LocalQueue());
  const taking = worker.take();
  worker.ending.abort(new Error('the worker ends'));
  await expect(taking).rejects.toThrow('the worker ends');
});

test('a running job that is aborted is stopped in the worker, and its late result is refused', async () => {
  const queue = new LocalQueue();
  const worker = workerOf(queue);
  const impatient = new AbortController();
  const result = queue.submit(jobOf('j1'), { signal: impatient.signal });
  await worker.take();
  const stops = worker.stops();
  const stopped = stops.next();

  impatient.abort(new Error('enough'));
  await expect(result).rejects.toThrow('enough');
  expect((await stopped).value).toEqual(['j1']);
  await expect(worker.post('j1', done(1))).rejects.toMatchObject({
    code: 'platform.job_unknown',
  });
  const noMore = stops.next();
  worker.ending.abort(new Error('the worker ends'));
  await expect(noMore).rejects.toThrow('the worker ends');
});

test('a waiting job that is aborted is never taken', async () => {
  const queue = new LocalQueue();
  const worker = workerOf(queue);
  const impatient = new AbortController();
  const left = queue.submit(jobOf('j1'), { signal: impatient.signal });
  impatient.abort(new Error('enough'));
  await expect(left).rejects.toThrow('enough');
  const result = queue.submit(jobOf('j2'));
  expect(await worker.take(5)).toEqual(['j2']);
  await worker.post('j2', done(1));
  await result;
});

test('a full queue refuses, until a job has ended', async () => {
  const queue = new LocalQueue({ capacity: 1 });
  const worker = workerOf(queue);
  const result = queue.submit(jobOf('j1'));
  await worker.take();
  await expect(queue.submit(jobOf('j2'))).rejects.toMatchObject({ code: 'queue.full' });
  await worker.post('j1', done(1));
  await result;
  const next = queue.submit(jobOf('j2'));
  await worker.take();
  await worker.post('j2', done(2));
  expect(outputOf(await next)).toBe(2);
});

test('a job whose id is there already is refused', async () => {
  const queue = new LocalQueue();
  const worker = workerOf(queue);
  const result = queue.submit(jobOf('j1'));
  await expect(queue.submit(jobOf('j1'))).rejects.toThrow('Job j1 is there already');
  await worker.take();
  await worker.post('j1', { kind: 'result', result: {} });
  expect(await result).toEqual({});
});
