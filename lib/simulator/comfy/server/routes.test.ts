import { request } from 'node:http';
import { dirname } from 'node:path';
import { expect, test } from '@jest/globals';
import { get, post, samplerGraph, submit, textGraph, idFor } from '../testing/probe-client.ts';
import { PROBE_NODES } from '../testing/probe-nodes.ts';
import { startComfySimulator } from '../simulator.ts';

const start = (options = {}) =>
  startComfySimulator({ nodes: PROBE_NODES, speed: Infinity, ...options });

test('an unknown path gives 404 for GET and 405 for other methods', async () => {
  await using comfy = await start();
  expect((await fetch(`${comfy.url}/nothing`)).status).toBe(404);
  const refused = await post(comfy, '/nothing', {});
  expect([refused.status, await refused.text()]).toEqual([405, '405: Method Not Allowed']);
  expect((await fetch(`${comfy.url}/nothing`, { method: 'OPTIONS' })).status).toBe(200);
  expect((await fetch(`${comfy.url}/jobs`)).status).toBe(404);
});

test.each(['/queue', '/api/queue', '/api/history', '/api/object_info/SaveImage'])(
  '%s answers HEAD with headers only',
  async (path) => {
    await using comfy = await start();
    const response = await fetch(comfy.url + path, { method: 'HEAD' });
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(await response.text()).toBe('');
  },
);

test.each([
  ['no JSON', '/prompt', '{'],
  ['nothing', '/prompt', ''],
  ['a number', '/prompt', '5'],
  ['a graph that is null', '/prompt', '{"prompt": null}'],
  ['a list of numbers as a graph', '/prompt', '{"prompt": [1]}'],
  ['extra_data that is null', '/prompt', '{"prompt": {}, "client_id": "a", "extra_data": null}'],
  ['a number that is none', '/prompt', '{"prompt": {}, "number": "x"}'],
  ['no JSON', '/queue', ''],
  ['no JSON', '/free', ''],
  ['a list', '/interrupt', '[]'],
])('%s is an internal error of POST %s', async (_, path, body) => {
  await using comfy = await start();
  const response = await post(comfy, path, body);
  expect(response.status).toBe(500);
  expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
});

test('a list as the body has no prompt', async () => {
  await using comfy = await start();
  const response = await post(comfy, '/prompt', []);
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ error: { type: 'no_prompt' } });
});

test('a body over 100 MiB is refused with 413', async () => {
  await using comfy = await start();
  const response = await post(comfy, '/prompt', ' '.repeat(101 * 1024 * 1024));
  expect(response.status).toBe(413);
  expect(await response.text()).toContain('Maximum request body size 104857600 exceeded');
});

test.each([
  [undefined, 200],
  ['null', 200],
  ['http://127.0.0.1', 200],
  ['http://localhost:PORT', 403],
  ['http://127.0.0.1:1', 403],
  ['http://evil.example', 403],
])('a page of origin %s gets %d', async (origin, status) => {
  await using comfy = await start();
  const port = new URL(comfy.url).port;
  const headers = origin === undefined ? {} : { origin: origin.replace('PORT', port) };
  expect((await fetch(`${comfy.url}/queue`, { headers })).status).toBe(status);
});

test('under a name that is not loopback, every origin is allowed', async () => {
  await using comfy = await start();
  const status = await new Promise((resolve, reject) => {
    const headers = { host: 'comfy.internal:8188', origin: 'http://evil.example' };
    request(`${comfy.url}/queue`, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
  expect(status).toBe(200);
});

test('before 0.33, a prompt id of another type becomes the text Python makes of it', async () => {
  await using comfy = await start({ version: '0.8.0' });
  const ids = [];
  for (const prompt_id of [null, 7, 'x']) {
    ids.push(await submit(comfy, textGraph('x'), { prompt_id }));
  }
  expect(ids).toEqual(['None', '7', 'x']);
});

test.each([7, 'x', idFor('a').toUpperCase().replace('8000', 'A000'), {}])(
  'the prompt id %j is refused; null gets a new one',
  async (prompt_id) => {
    await using comfy = await start();
    const refused = await post(comfy, '/prompt', { prompt: textGraph('x'), prompt_id });
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({ error: { type: 'invalid_prompt_id' } });
    expect(await submit(comfy, textGraph('x'), { prompt_id: null })).toMatch(/^[0-9a-f-]{36}$/);
  },
);

test('only the targeted outputs run', async () => {
  await using comfy = await start();
  const graph = { ...textGraph('a'), 2: textGraph('b')[1] };
  const fields = { prompt_id: idFor('p'), partial_execution_targets: ['2', 'unknown'] };
  await submit(comfy, graph, fields);
  await comfy.waitFor({ type: 'history', promptId: idFor('p') });
  expect(await get(comfy, `/history/${idFor('p')}`)).toMatchObject({
    [idFor('p')]: { outputs: { 2: { text: ['b'] } } },
  });
  const none = await post(comfy, '/prompt', { prompt: graph, partial_execution_targets: [] });
  expect(await none.json()).toMatchObject({ error: { type: 'prompt_no_outputs' } });
});

test('jobs are listed while pending, running and ended', async () => {
  await using comfy = await start({ speed: 1 });
  const running = await submit(comfy, samplerGraph({ steps: 500, stepMs: 10 }));
  const extra_data = { extra_pnginfo: { workflow: { id: 'w' } } };
  const waiting = await submit(comfy, textGraph('x'), { prompt_id: idFor('w'), extra_data });
  await comfy.waitFor({ type: 'execution_start', promptId: running });
  expect(await get(comfy, `/api/jobs/${running}`)).toMatchObject({ status: 'in_progress' });
  expect(await get(comfy, `/api/jobs/${waiting}`)).toMatchObject({
    status: 'pending',
    workflow_id: 'w',
  });
  await post(comfy, '/interrupt', { prompt_id: running });
  await comfy.waitFor({ type: 'history', promptId: waiting });
  const failed = (await get(comfy, `/api/jobs/${running}`)) as Record<string, unknown>;
  expect(failed).toMatchObject({ status: 'cancelled', outputs_count: 0 });
  expect(failed).not.toHaveProperty('execution_error');
  expect(await get(comfy, `/api/jobs/${waiting}`)).toMatchObject({
    status: 'completed',
    outputs: { 1: { text: ['x'] } },
    execution_status: { completed: true },
    workflow: { prompt: textGraph('x') },
  });
  const list = async (query: string) => {
    const { jobs } = (await get(comfy, `/api/jobs?${query}`)) as { jobs: Record<string, number>[] };
    return jobs;
  };
  const ids = async (query: string) => (await list(query)).map(({ id }) => id);
  expect(await ids('status=completed')).toEqual([waiting]);
  expect(await ids('workflow_id=w')).toEqual([waiting]);
  const durations = (await list('sort_by=execution_duration')).map(
    (job) => job.execution_end_time! - job.execution_start_time!,
  );
  expect(durations).toHaveLength(2);
  expect(durations).toEqual(durations.toSorted((a, b) => b - a));
  expect(await ids('sort_order=asc&limit=1&offset=1')).toHaveLength(1);
});

test.each(['status=odd', 'sort_by=odd', 'sort_order=odd', 'limit=0', 'offset=x'])(
  'a list of jobs with the query %s is refused',
  async (query) => {
    await using comfy = await start();
    expect((await fetch(`${comfy.url}/api/jobs?${query}`)).status).toBe(400);
  },
);

test('models are listed by folder, embeddings without their extension', async () => {
  const models = { checkpoints: ['a.safetensors'], embeddings: ['e.pt'] };
  await using comfy = await start({ models });
  expect(await get(comfy, '/models/checkpoints')).toEqual(['a.safetensors']);
  expect(await get(comfy, '/models/vae')).toEqual([]);
  expect(await get(comfy, '/embeddings')).toEqual(['e']);
  expect((await fetch(`${comfy.url}/models/odd`)).status).toBe(404);
});

test('every answer says that it is simulated', async () => {
  await using comfy = await start();
  expect(await get(comfy, '/system_stats')).toMatchObject({
    system: { comfyui_version: '0.33.0', simulated: true },
  });
  const { headers } = await fetch(`${comfy.url}/queue`);
  expect(headers.get('x-simulated')).toBe('comfyui-worker');
});

test('/internal/folder_paths lists the folders of models and custom nodes, and does not exist under /api', async () => {
  await using comfy = await start();
  const folders = (await (await fetch(`${comfy.url}/internal/folder_paths`)).json()) as object;
  const root = dirname(comfy.folders.input);
  expect(folders).toMatchObject({
    vae: [`${root}/models/vae`],
    custom_nodes: [`${root}/custom_nodes`],
  });
  expect(folders).not.toHaveProperty('input');
  expect((await fetch(`${comfy.url}/api/internal/folder_paths`)).status).toBe(404);
});
