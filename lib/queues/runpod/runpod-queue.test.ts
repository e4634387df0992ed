import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import { startRunpodSimulator, type RunpodSimulator } from '../../simulator/stand-ins/runpod.ts';
import { measureJson } from '../../json-body.ts';
import type { JobUpdate } from '../queue.ts';
import { createRunpodQueue, type RunpodQueueOptions } from './runpod-queue.ts';
import { createTestLog, queueSettings } from '../../worker/test-worker.ts';

const never = new AbortController().signal;
const done = (output: unknown): JobUpdate => ({
  kind: 'result',
  result: { output: measureJson(output).encode() },
});
const nothing: JobUpdate = { kind: 'result', result: {} };

async function connect(sim: RunpodSimulator, overrides: Partial<RunpodQueueOptions> = {}) {
  const { log } = await createTestLog();
  return createRunpodQueue({ ...queueSettings(sim.env), log, ...overrides });
}

/** A platform that does what the test says. */
async function startServer(answer: RequestListener) {
  const server = createServer(answer);
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function connectTo(url: string, overrides: Partial<RunpodQueueOptions> = {}) {
  const urls = { getJobUrl: `${url}/job-take/$ID`, postOutputUrl: `${url}/job-done/$ID` };
  const { log } = await createTestLog();
  return createRunpodQueue({ ...urls, podId: 'p', log, ...overrides });
}

test.each(['$ID', '$RUNPOD_POD_ID', 'simulated-pod'])(
  'the worker id may be %s in the URL for jobs',
  async (name) => {
    await using sim = await startRunpodSimulator({ takeHoldMs: 1 });
    const getJobUrl = `${sim.url}/v2/simulated/job-take/${name}?gpu=x`;
    await using queue = await connect(sim, { getJobUrl });
    await queue.take({ limit: 1, busy: false, signal: never });
    expect(sim.takes[0]?.path).toBe('/v2/simulated/job-take/simulated-pod');
  },
);

test('the parameters begin the query when the URL has none', async () => {
  await using sim = await startRunpodSimulator({ takeHoldMs: 1 });
  const getJobUrl = `${sim.url}/v2/simulated/job-take/$ID`;
  await using queue = await connect(sim, { getJobUrl });
  await queue.take({ limit: 2, busy: true, signal: never });
  expect(sim.takes[0]).toMatchObject({
    path: '/v2/simulated/job-take-batch/simulated-pod',
    query: { batch_size: '2', job_in_progress: '1' },
  });
});

test('a worker id with special characters is put into URLs every time it occurs', async () => {
  await using sim = await startRunpodSimulator({ takeHoldMs: 1 });
  const getJobUrl = `${sim.url}/v2/simulated/job-take/$ID?a=$RUNPOD_POD_ID&g=$RUNPOD_GPU_TYPE_ID`;
  await using queue = await connect(sim, { getJobUrl, podId: "$&$'pod", gpuTypeId: 'RTX 4090' });
  await queue.take({ limit: 1, busy: false, signal: never });
  expect(sim.takes[0]?.ids).toEqual(["$&$'pod"]);
  expect(sim.takes[0]?.query).toMatchObject({ a: "$&$'pod", g: 'RTX 4090' });
});

test('a job arrives with the exact text of its input', async () => {
  await using sim = await startRunpodSimulator();
  await using queue = await connect(sim);
  sim.submitText(
    '{"input":{"10":{"seed":18446744073709551615},"2":{"cfg":1.0}},"id":"j","batchId":"b"}',
  );
  const [taken] = await queue.take({ limit: 1, busy: false, signal: never });
  if (taken?.kind !== 'job') throw new TypeError('Expected a job');
  expect(taken.job.input.text).toBe('{"10":{"seed":18446744073709551615},"2":{"cfg":1.0}}');
  expect(taken.job).toMatchObject({ jobId: 'j', batchId: 'b' });
});

test('a poll without an answer is given up after its limit and brings no job', async () => {
  await using sim = await startRunpodSimulator();
  await using queue = await connect(sim, { pollLimitMs: 20 });
  expect(await queue.take({ limit: 1, busy: false, signal: never })).toEqual([]);
});

test('a poll that is stopped throws the reason', async () => {
  await using sim = await startRunpodSimulator();
  await using queue = await connect(sim);
  const controller = new AbortController();
  const asked = sim.nextTake();
  const taking = queue.take({ limit: 1, busy: false, signal: controller.signal });
  await asked;
  controller.abort('enough');
  await expect(taking).rejects.toBe('enough');
});

test('a job whose answer has begun when the poll is stopped is still read to its end', async () => {
  const text = '{"id":"slow","input":"late"}';
  const begun = Promise.withResolvers<ServerResponse>();
  await using platform = await startServer((request, response) => {
    if (request.method === 'POST') return void response.end();
    response.write(text.slice(0, 9), () => begun.resolve(response));
  });
  await using queue = await connectTo(platform.url);
  const controller = new AbortController();
  const taking = queue.take({ limit: 1, busy: false, signal: controller.signal });
  const response = await begun.promise;
  await queue.post('other', nothing, { signal: never });
  controller.abort();
  response.end(text.slice(9));
  expect(await taking).toMatchObject([{ kind: 'job', job: { jobId: 'slow' } }]);
});

test('an answer that trickles for ever is cut off', async () => {
  const trickling = Promise.withResolvers<ServerResponse>();
  await using platform = await startServer((_request, response) => {
    response.write('{', () => trickling.resolve(response));
    const drops = setInterval(() => response.write(' '), 5);
    response.once('close', () => clearInterval(drops));
  });
  await using queue = await connectTo(platform.url, { pollLimitMs: 100 });
  const controller = new AbortController();
  const taking = queue.take({ limit: 1, busy: false, signal: controller.signal });
  await trickling.promise;
  controller.abort('enough');
  await expect(taking).rejects.toBe('enough');
});

test('the error of a refused take shows request, answer and the setting to check, but no query', async () => {
  await using sim = await startRunpodSimulator();
  await using queue = await connect(sim, { apiKey: 'wrong' });
  await expect(queue.take({ limit: 1, busy: false, signal: never })).rejects.toMatchObject({
    code: 'platform.take_failed',
    message: `[GET] "${sim.url}/v2/simulated/job-take/simulated-pod": 401 Unauthorized ({"error":"unauthorized"}); check RUNPOD_AI_API_KEY`,
  });
});

test('a result is raw UTF-8 with the content type of a form and its own request id', async () => {
  await using sim = await startRunpodSimulator();
  await using queue = await connect(sim);
  const jobId = sim.submit(1);
  await queue.post(jobId, done('Grüße 😀'), { signal: never });
  const post = await sim.result(jobId);
  expect(post.bodyText).toBe('{"output":"Grüße 😀"}');
  expect(post.path).toBe(`/v2/simulated/job-done/simulated-pod/${jobId}`);
  expect(post.query).toEqual({ gpu: 'Simulated GPU', isStream: 'false' });
  expect(post.headers).toMatchObject({
    authorization: sim.env.RUNPOD_AI_API_KEY,
    'content-type': 'application/x-www-form-urlencoded',
    charset: 'utf-8',
    'x-request-id': jobId,
  });
});

test('progress goes where results go, marked as progress', async () => {
  await using sim = await startRunpodSimulator();
  await using queue = await connect(sim);
  const value = measureJson({ percent: 5 }).encode();
  await queue.post(sim.submit(1), { kind: 'progress', value }, { signal: never });
  expect(sim.posts[0]).toMatchObject({ route: 'job-done', query: { isStream: 'false' } });
  expect(sim.posts[0]?.bodyText).toBe('{"status":"IN_PROGRESS","output":{"percent":5}}');
});

test.each(['任务', 'two\nlines', 'nul\u0000', '\ud800'])(
  'the result of a job with the id %j arrives',
  async (jobId) => {
    await using sim = await startRunpodSimulator();
    await using queue = await connect(sim);
    await queue.post(jobId, nothing, { signal: never });
    expect(sim.posts[0]?.ids.at(-1)).toBe(jobId.toWellFormed());
  },
);

test('a post over a narrow uplink is not given up while bytes leave', async () => {
  const bytes = 20_000_000;
  await using platform = await startServer((request, response) => {
    let received = 0;
    const narrow = setInterval(() => {
      const rest = Math.min(200_000, request.readableLength);
      received += (request.read(rest) as Buffer | null)?.length ?? 0;
      if (received === bytes) response.end();
      else request.read(0);
    }, 20);
    response.once('close', () => clearInterval(narrow));
  });
  await using queue = await connectTo(platform.url, { postTimeoutMs: 1000 });
  const output = { bytes: bytes - 11, chunks: [Buffer.alloc(bytes - 11)] };
  await queue.post('j', { kind: 'result', result: { output } }, { signal: never });
});

test('a result too large for one write arrives whole', async () => {
  await using sim = await startRunpodSimulator();
  await using queue = await connect(sim);
  const output = Array.from({ length: 50_000 }, (_, index) => index);
  await queue.post('j', done(output), { signal: never });
  expect(sim.posts[0]?.bodyText).toBe(JSON.stringify({ output }));
});

test.each([
  [307, 'platform.post_failed'],
  [500, 'platform.post_failed'],
  [503, 'platform.post_failed'],
  [429, 'platform.post_failed'],
  [408, 'platform.post_failed'],
  [401, 'platform.post_failed'],
  [403, 'platform.post_failed'],
  [404, 'platform.job_unknown'],
  [410, 'platform.job_unknown'],
  [400, 'platform.post_refused'],
  [413, 'platform.post_refused'],
])('a post answered with %i is %s', async (status, code) => {
  await using sim = await startRunpodSimulator();
  await using queue = await connect(sim);
  sim.faults.next('job-done', { status, text: 'why', headers: { 'retry-after': '3' } });
  const posting = queue.post('j', nothing, { signal: never });
  await expect(posting).rejects.toMatchObject({
    code,
    message: expect.stringContaining(`": ${status} `) as unknown,
    retryAfterMs: 3000,
  });
});

test('a post whose connection breaks is platform.post_failed', async () => {
  await using sim = await startRunpodSimulator();
  await using queue = await connect(sim);
  sim.faults.next('job-done', 'reset');
  const posting = queue.post('j', nothing, { signal: never });
  await expect(posting).rejects.toMatchObject({ code: 'platform.post_failed' });
});

test('without /job-take/ in the URL there is no stop channel', async () => {
  await using sim = await startRunpodSimulator();
  await using queue = await connect(sim, { getJobUrl: `${sim.url}/take/$ID` });
  expect(queue).not.toHaveProperty('stops');
});
