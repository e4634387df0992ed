import { expect, test } from '@jest/globals';
import runpodSdk from 'runpod-sdk';
import { request } from 'undici';
import { startRunpodSimulator, type RunpodSimulator } from './runpod.ts';

/** A minimal worker: makes its requests like the Python SDK. */
function workerOf(sim: RunpodSimulator, podId = 'pod1') {
  const authorization = sim.env.RUNPOD_AI_API_KEY!;
  const expand = (template: string, jobId = podId) =>
    template.replaceAll('$RUNPOD_POD_ID', podId).replaceAll('$ID', jobId);
  const takeUrl = expand(sim.env.RUNPOD_WEBHOOK_GET_JOB!);
  const get = async (url: string, signal?: AbortSignal) => {
    const answer = await request(url, { headers: { authorization }, signal: signal ?? null });
    return { status: answer.statusCode, text: await answer.body.text() };
  };
  return {
    take: (signal?: AbortSignal) => get(`${takeUrl}&job_in_progress=0`, signal),
    takeBatch: (size: number) =>
      get(
        `${takeUrl.replace('/job-take/', '/job-take-batch/')}&batch_size=${size}&job_in_progress=0`,
      ),
    stops: () => get(takeUrl.replace('/job-take/', '/job-stop/')),
    ping: (query: string) => get(`${expand(sim.env.RUNPOD_WEBHOOK_PING!)}&${query}`),
    post: async (jobId: string, body: unknown) => {
      const answer = await request(
        `${expand(sim.env.RUNPOD_WEBHOOK_POST_OUTPUT!, jobId)}&isStream=false`,
        {
          method: 'POST',
          headers: { authorization, 'content-type': 'application/x-www-form-urlencoded' },
          body: JSON.stringify(body),
        },
      );
      await answer.body.dump();
      return answer.statusCode;
    },
  };
}

test('a job is submitted as text, taken as the same text, and completed with a result', async () => {
  await using sim = await startRunpodSimulator();
  const worker = workerOf(sim);
  const text = '{"id":"j1","input":{"10":1.0,"2":18446744073709551615}}';
  sim.submitText(text);

  expect(await worker.take()).toEqual({ status: 200, text });
  expect(sim.job('j1')).toMatchObject({ status: 'IN_PROGRESS', workerId: 'pod1' });
  await worker.post('j1', { status: 'IN_PROGRESS', output: 50 });
  expect(sim.job('j1')).toMatchObject({ status: 'IN_PROGRESS', output: 50 });
  await worker.post('j1', { output: { a: 1 } });

  const result = await sim.result('j1');
  expect(result).toMatchObject({
    body: { output: { a: 1 } },
    ids: ['pod1', 'j1'],
    query: { isStream: 'false' },
  });
  const job = sim.job('j1')!;
  expect(job).toMatchObject({ status: 'COMPLETED', output: { a: 1 } });
  expect(job.posts).toHaveLength(2);
  expect(job.doneAt).toBeGreaterThanOrEqual(job.assignedAt!);
  expect(sim.violations).toEqual([]);
});

test('a poll is held until a job arrives, and answered 204 if none does', async () => {
  await using sim = await startRunpodSimulator({ takeHoldMs: 100 });
  const worker = workerOf(sim);
  expect((await worker.take()).status).toBe(204);

  const took = sim.nextTake();
  const polled = worker.take();
  await took;
  sim.submit('late', { id: 'j1' });
  expect(JSON.parse((await polled).text)).toEqual({ id: 'j1', input: 'late' });
});

test('a batch contains at most the requested number of jobs, in order', async () => {
  await using sim = await startRunpodSimulator({ takeHoldMs: 100 });
  for (const id of ['a', 'b', 'c']) sim.submit(id, { id });
  const ids = async () => {
    const jobs = JSON.parse((await workerOf(sim).takeBatch(2)).text) as { id: string }[];
    return jobs.map(({ id }) => id);
  };
  expect(await ids()).toEqual(['a', 'b']);
  expect(await ids()).toEqual(['c']);
  expect(sim.takes[0]?.query).toMatchObject({ batch_size: '2', job_in_progress: '0' });
});

test('a poll whose connection was closed gets no job', async () => {
  await using sim = await startRunpodSimulator();
  const leaving = new AbortController();
  const took = sim.nextTake();
  const left = workerOf(sim, 'gone').take(leaving.signal);
  await took;
  leaving.abort();
  await expect(left).rejects.toThrow();
  await sim.until(() => sim.takes[0]?.abandoned === true);

  sim.submit(1, { id: 'j1' });
  expect((await workerOf(sim, 'alive').take()).status).toBe(200);
  expect(sim.job('j1')?.workerId).toBe('alive');
});

test('parameters appended to the path with & are read', async () => {
  await using sim = await startRunpodSimulator();
  sim.submit(1, { id: 'j1' });
  const headers = { authorization: sim.env.RUNPOD_AI_API_KEY! };
  const base = `${sim.url}/v2/${sim.endpointId}`;
  await (await request(`${base}/job-take/pod1&job_in_progress=0`, { headers })).body.dump();
  const body = '{"output":NaN}';
  const done = await request(`${base}/job-done/pod1/j1&isStream=false`, {
    method: 'POST',
    headers,
    body,
  });
  await done.body.dump();
  expect(await sim.result('j1')).toMatchObject({
    ids: ['pod1', 'j1'],
    query: { isStream: 'false' },
  });
});

test('a wrong key is refused, and so is a bearer token from a worker', async () => {
  await using sim = await startRunpodSimulator();
  const url = sim.env.RUNPOD_WEBHOOK_GET_JOB!;
  for (const authorization of ['wrong', `Bearer ${sim.env.RUNPOD_AI_API_KEY!}`]) {
    const answer = await request(url, { headers: { authorization } });
    await answer.body.dump();
    expect(answer.statusCode).toBe(401);
  }
});

test('the worker that has a cancelled job is told once', async () => {
  await using sim = await startRunpodSimulator({ stopHoldMs: 100 });
  const worker = workerOf(sim);
  sim.submit(1, { id: 'j1' });
  await worker.take();

  const took = sim.nextStop();
  const stops = worker.stops();
  await took;
  sim.stopJob('j1');
  expect(JSON.parse((await stops).text)).toEqual({ jobsToStop: ['j1'] });
  expect((await worker.stops()).status).toBe(204);
  expect(sim.job('j1')?.status).toBe('CANCELLED');
});

test('posts that violate the protocol are recorded', async () => {
  await using sim = await startRunpodSimulator();
  const worker = workerOf(sim);
  for (const id of ['done', 'stopped']) sim.submit(1, { id });
  await worker.takeBatch(2);
  sim.stopJob('stopped');

  await worker.post('done', { output: 1 });
  await worker.post('done', { output: 1 }); // repeating is fine: the first answer may have been lost
  await worker.post('done', { output: 2 });
  await worker.post('done', { status: 'IN_PROGRESS', output: 3 });
  await worker.post('stopped', { output: 1 });
  await worker.post('nowhere', { output: 1 });
  await worker.post('done', 'not an object');

  expect(sim.violations.map(({ kind, jobId }) => [kind, jobId])).toEqual([
    ['conflicting result', 'done'],
    ['progress after the result', 'done'],
    ['post for a stopped job', 'stopped'],
    ['post for an unknown job', 'nowhere'],
    ['post that is no result', 'done'],
  ]);
  expect(sim.job('done')).toMatchObject({ status: 'COMPLETED', output: 1 });
});

test('a fault can replace an answer, reset the connection, lose the answer, or delay it', async () => {
  await using sim = await startRunpodSimulator({ takeHoldMs: 100 });
  const worker = workerOf(sim);
  sim.submit(1, { id: 'j1' });

  sim.faults.next('job-take', { status: 429, text: 'slow down', headers: { 'retry-after': '1' } });
  sim.faults.next('job-take', 'reset');
  expect(await worker.take()).toEqual({ status: 429, text: 'slow down' });
  await expect(worker.take()).rejects.toThrow();
  expect((await worker.take()).status).toBe(200);

  sim.faults.next('job-done', { status: 500 }, 2);
  expect(await worker.post('j1', { output: 1 })).toBe(500);
  expect(await worker.post('j1', { output: 1 })).toBe(500);
  expect(sim.job('j1')?.status).toBe('IN_PROGRESS');
  sim.faults.next('job-done', 'lose-answer');
  await expect(worker.post('j1', { output: 1 })).rejects.toThrow();
  expect(sim.job('j1')?.status).toBe('COMPLETED');

  sim.faults.next('ping', { delayMs: 20 });
  expect((await worker.ping('runpod_version=1')).status).toBe(200);
  const [ping] = sim.pings;
  expect(ping!.answeredAt! - ping!.at).toBeGreaterThan(10);
});

test('a job whose delivery was lost goes to the next poll', async () => {
  await using sim = await startRunpodSimulator();
  const worker = workerOf(sim);
  sim.submit(1, { id: 'j1' });
  sim.faults.next('job-take', 'lose-answer');
  await expect(worker.take()).rejects.toThrow();
  expect((await worker.take()).status).toBe(200);
});

test('a fault can be decided per request, until it is ended', async () => {
  await using sim = await startRunpodSimulator();
  const worker = workerOf(sim);
  const off = sim.faults.whenever(({ query }) => (query.job_id ? { status: 503 } : undefined));
  expect((await worker.ping('job_id=j1')).status).toBe(503);
  expect((await worker.ping('runpod_version=1')).status).toBe(200);
  off();
  expect((await worker.ping('job_id=j1')).status).toBe(200);
});

test('while down, connections are refused; when up again, the jobs and the address are kept', async () => {
  await using sim = await startRunpodSimulator();
  const worker = workerOf(sim);
  const { url } = sim;
  sim.submit(1, { id: 'j1' });
  const took = sim.nextTake();
  const open = worker.take();
  await took;
  expect((await open).status).toBe(200);

  await sim.down();
  await expect(worker.post('j1', { output: 1 })).rejects.toThrow('ECONNREFUSED');
  await sim.up();
  expect(sim.url).toBe(url);
  expect(await worker.post('j1', { output: 1 })).toBe(200);
});

test('without keepBodies, bodies and headers are dropped, but results are still compared', async () => {
  await using sim = await startRunpodSimulator({ keepBodies: false });
  const worker = workerOf(sim);
  sim.submit(1, { id: 'j1' });
  await worker.take();
  await worker.post('j1', { output: 'x'.repeat(1000) });
  await worker.post('j1', { error: 'another' });
  expect(await sim.result('j1')).toMatchObject({ bodyText: '', bodyBytes: 1013, headers: {} });
  expect(sim.violations).toHaveLength(1);
});

test('a wait that times out rejects with a message', async () => {
  await using sim = await startRunpodSimulator({ waitMs: 20 });
  await expect(sim.nextPing()).rejects.toThrow('A ping did not happen within 20 ms');
  sim.submit(1, { id: 'j1' });
  await expect(sim.result('j1')).rejects.toThrow('The result of job j1 did not happen');
});

test('npm runpod-sdk runs, asks, waits for and cancels jobs', async () => {
  await using sim = await startRunpodSimulator();
  const worker = workerOf(sim);
  const sdk = runpodSdk(sim.env.RUNPOD_AI_API_KEY!, { baseUrl: `${sim.url}/v2` });
  const endpoint = sdk.endpoint(sim.endpointId)!;

  const { id, status } = await endpoint.run({ input: { a: 1 } });
  expect(status).toBe('IN_QUEUE');
  expect(JSON.parse((await worker.take()).text)).toEqual({ id, input: { a: 1 } });
  expect(await endpoint.status(id)).toMatchObject({ status: 'IN_PROGRESS', workerId: 'pod1' });
  expect(await endpoint.cancel(id)).toMatchObject({ id, status: 'CANCELLED' });

  const running = endpoint.runSync({ input: {} }, 5000);
  const taken = JSON.parse((await worker.take()).text) as { id: string };
  expect(taken.id).toMatch(/^sync-/);
  await worker.post(taken.id, { error: 'no' });
  expect(await running).toMatchObject({ completed: true, status: 'FAILED', error: 'no' });
  expect((await endpoint.health()).jobs).toMatchObject({ failed: 1, inQueue: 0 });
});
