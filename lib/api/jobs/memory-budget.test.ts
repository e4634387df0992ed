import { expect, test } from '@jest/globals';
import { Gate } from '../../worker/test-worker.ts';
import { startTestApi, until } from '../test-api.ts';

const large = (size: number) => ({ data: 'x'.repeat(size) });

test('the oldest outputs are dropped when there are too many bytes, and the job says so', async () => {
  await using api = await startTestApi({
    handler: () => large(40_000),
    environment: { API_MAX_RECORD_BYTES: '100000' },
  });
  const jobs: string[] = [];
  for (let count = 0; count < 4; count++) {
    const jobId = await api.run(count);
    await api.ended(jobId);
    jobs.push(jobId);
  }
  const views = await Promise.all(jobs.map((jobId) => api.status(jobId)));
  expect(views.map(({ status }) => status)).toEqual(Array(4).fill('COMPLETED'));
  expect(views.map((view) => 'output' in view)).toEqual([false, false, true, true]);
  expect(views[0]?.error).toContain('The output (40,011 bytes) is no longer kept');
});

test('inputs of queued jobs count, too: when only they are left, new jobs are refused', async () => {
  const gate = new Gate();
  await using api = await startTestApi({
    handler: gate.handler,
    environment: { API_MAX_RECORD_BYTES: '100000' },
  });
  const first = await api.run(large(60_000));
  const refused = await api.call('/run', { body: { input: large(60_000) } });
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '5']);
  expect(refused.body.error).toContain('memory is full');
  await gate.finish(first, 'done');
  await api.ended(first);
  const second = await api.run(large(60_000));
  await gate.finish(second, 'done');
  expect((await api.ended(second)).status).toBe('COMPLETED');
});

test('a failed job whose input was dropped cannot be retried, and the error says why', async () => {
  const gate = new Gate();
  await using api = await startTestApi({
    handler: gate.handler,
    environment: { API_MAX_RECORD_BYTES: '100000' },
  });
  const first = await api.run(large(60_000));
  await gate.finish(first, { error: 'no' });
  await api.ended(first);
  const second = await api.run(large(60_000));
  const { status, body } = await api.call(`/retry/${first}`, { method: 'POST' });
  expect([status, body.error]).toEqual([
    400,
    expect.stringContaining('its input is no longer kept'),
  ]);
  await gate.finish(second);
});

test('of too many ended jobs the oldest are deleted', async () => {
  await using api = await startTestApi({
    handler: () => 'ok',
    environment: { API_MAX_RECORDS: '2' },
  });
  const jobs: string[] = [];
  for (let count = 0; count < 4; count++) {
    const jobId = await api.run(count);
    await api.ended(jobId);
    jobs.push(jobId);
  }
  const statuses = await Promise.all(
    jobs.map(async (jobId) => (await api.call(`/status/${jobId}`)).status),
  );
  expect(statuses).toEqual([404, 404, 200, 200]);
});

test('several clients at once read a large output completely', async () => {
  await using api = await startTestApi({ handler: () => large(20_000_000) });
  const jobId = await api.run(1);
  await api.ended(jobId);
  const answers = await Promise.all(
    [1, 2, 3].map(async () => (await api.call(`/status/${jobId}`)).body.output),
  );
  for (const output of answers) expect((output as { data: string }).data).toHaveLength(20_000_000);
});

test('a caller that waits for a job gets its result, also when there is no memory to keep it', async () => {
  await using api = await startTestApi({
    handler: () => large(40_000),
    environment: { API_MAX_RECORD_BYTES: '20000', API_MAX_RECORDS: '1' },
  });
  const jobs = Array.from({ length: 5 }, () => api.call('/runsync', { body: { input: 1 } }));
  for (const { status, body } of await Promise.all(jobs)) {
    expect([status, body.output]).toEqual([200, large(40_000)]);
  }
  const [, , , kept] = await Promise.all(
    (await Promise.all(jobs)).map(({ body }) => api.call(`/status/${body.id}`)),
  );
  expect(kept?.body.output).toBeUndefined();
});

test('blanks around a body count as memory, and so do long errors', async () => {
  const gate = new Gate();
  await using api = await startTestApi({
    handler: gate.handler,
    environment: { API_MAX_RECORD_BYTES: '100000' },
  });
  const { body } = await api.call('/run', { text: `${' '.repeat(90_000)}{"input":1}` });
  const refused = await api.call('/run', { text: `${' '.repeat(90_000)}{"input":1}` });
  expect(refused.status).toBe(429);
  await gate.finish(body.id, { error: 'x'.repeat(120_000) });
  await api.ended(body.id);
  await until(async () => (await api.status(body.id)).error?.length === 2000);
});
