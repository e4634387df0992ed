import { expect, test } from '@jest/globals';
import { ManualClock } from '../clock.ts';
import { Gate } from '../worker/test-worker.ts';
import { LoopShare } from './server/loop-share.ts';
import { startTestApi } from './test-api.ts';

const done = () => 'done';

test('/ready and /health depend on ComfyUI, /ping only on this process', async () => {
  const clock = new ManualClock();
  let isUp = false;
  await using api = await startTestApi({
    handler: done,
    clock,
    comfyAnswers: () => (isUp ? Promise.resolve(true) : Promise.reject(new Error('refused'))),
  });
  expect((await api.call('/ping')).status).toBe(200);
  expect((await api.call('/ready')).status).toBe(503);
  expect((await api.call('/health')).body.workers).toMatchObject({ idle: 0, initializing: 1 });
  isUp = true;
  clock.advance(1000);
  expect((await api.call('/ready')).body).toEqual({ status: 'ready' });
  expect((await api.call('/health')).body.workers).toMatchObject({ idle: 1, initializing: 0 });
});

test('while ComfyUI is down jobs are refused with 503, and both answers say since when', async () => {
  let downSince: number | undefined = Date.UTC(2030, 0, 2, 3, 4, 5);
  await using api = await startTestApi({
    handler: done,
    comfyAnswers: () => Promise.resolve(downSince === undefined),
    comfyDownSince: () => downSince,
  });
  const ready = await api.call('/ready');
  expect([ready.status, ready.body]).toEqual([
    503,
    { error: 'ComfyUI does not answer', downSince: '2030-01-02T03:04:05.000Z' },
  ]);
  for (const path of ['/run', '/runsync']) {
    const refused = await api.call(path, { body: { input: 1 } });
    expect([path, refused.status]).toEqual([path, 503]);
    expect(refused.headers.get('retry-after')).toBe('5');
    expect(refused.text).toContain('ComfyUI is down since 2030-01-02T03:04:05.000Z');
  }
  downSince = undefined;
  expect((await api.ended(await api.run(1))).status).toBe('COMPLETED');
});

test('metrics count jobs by state, and show ComfyUI and memory', async () => {
  const gate = new Gate();
  await using api = await startTestApi({ handler: gate.handler });
  const [first, second] = [await api.run(1), await api.run(2)];
  await gate.started.count(1);
  const { text, headers } = await api.call('/metrics');
  expect(headers.get('content-type')).toContain('text/plain');
  for (const line of [
    'comfyui_worker_jobs{state="IN_PROGRESS"} 1',
    'comfyui_worker_jobs{state="IN_QUEUE"} 1',
    'comfyui_worker_queue_depth 1',
    'comfyui_worker_comfyui_up 1',
    'comfyui_worker_undelivered_results 0',
  ]) {
    expect(text).toContain(line);
  }
  expect(text).toMatch(/comfyui_worker_record_bytes [1-9]/);
  expect(text).toContain('nodejs_eventloop_lag_seconds');
  await gate.finish(first);
  await gate.finish(second);
});

test('openapi.json lists every operation once, with its parameters', async () => {
  await using api = await startTestApi({ handler: done, environment: { API_KEY: 'k' } });
  const { status, body } = await api.call('/openapi.json');
  expect(status).toBe(200);
  const { paths, components } = body as unknown as {
    paths: Record<string, Record<string, { requestBody?: unknown }>>;
    components: { securitySchemes: object };
  };
  expect(Object.keys(paths).sort()).toEqual([
    '/cancel/{jobId}',
    '/health',
    '/metrics',
    '/ping',
    '/purge-queue',
    '/ready',
    '/requests',
    '/retry/{jobId}',
    '/run',
    '/runsync',
    '/status-sync/{jobId}',
    '/status/{jobId}',
    '/stream/{jobId}',
    '/workflows',
    '/workflows/convert',
  ]);
  expect(JSON.stringify(paths['/run']?.post?.requestBody)).toContain('executionTimeout');
  expect(components.securitySchemes).toHaveProperty('key');
  const docs = await api.call('/docs');
  expect([docs.status, docs.headers.get('content-type')]).toEqual([
    200,
    expect.stringContaining('text/html'),
  ]);
});

test('the page is served with a policy that allows nothing from other servers, and with an ETag', async () => {
  await using api = await startTestApi({ handler: done });
  const { status, headers, text } = await api.call('/');
  expect(status).toBe(200);
  expect(text).toContain('<!doctype html>');
  expect(headers.get('content-type')).toBe('text/html; charset=utf-8');
  const policy = headers.get('content-security-policy') ?? '';
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toContain('unsafe');
  expect(headers.get('x-content-type-options')).toBe('nosniff');
  const etag = headers.get('etag') ?? '';
  const again = await api.call('/', { headers: { 'if-none-match': etag } });
  expect([again.status, again.text]).toEqual([304, '']);
  const script = await api.call('/app.js');
  expect(script.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
  for (const path of ['/tsconfig.json', '/draft.test.ts', '/%2e%2e/alarm.ts', '/..%2falarm.ts']) {
    expect([path, (await api.call(path)).status]).toEqual([path, 404]);
  }
});

test('a health check is answered although no other request gets its turn', async () => {
  await using api = await startTestApi({ handler: () => 'done', share: new NoShare() });
  for (const path of ['/health', '/ping', '/ready', '/metrics']) {
    expect([path, (await api.call(path)).status]).toEqual([path, 200]);
  }
  const late = AbortSignal.timeout(50);
  await expect(api.call('/run', { body: { input: 1 }, signal: late })).rejects.toThrow();
});

class NoShare extends LoopShare {
  override run<T>(): Promise<T> {
    return new Promise(() => undefined);
  }
}
