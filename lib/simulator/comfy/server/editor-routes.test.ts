import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from '@jest/globals';
import { get, idFor, post, ProbeSocket, submit, textGraph } from '../testing/probe-client.ts';
import { PROBE_NODES } from '../testing/probe-nodes.ts';
import { startComfySimulator, type ComfySimulator } from '../simulator.ts';

const start = (options = {}) =>
  startComfySimulator({ nodes: PROBE_NODES, speed: Infinity, ...options });

function subscribe({ url }: ComfySimulator, clientId: string, enabled: boolean) {
  return fetch(`${url}/internal/logs/subscribe`, {
    method: 'PATCH',
    body: JSON.stringify({ clientId, enabled }),
  });
}

test('log lines are sent to sockets that asked for them, and kept for /internal/logs', async () => {
  await using comfy = await start();
  using socket = await ProbeSocket.open(comfy, 'me');
  expect((await subscribe(comfy, 'me', true)).status).toBe(200);
  await submit(comfy, textGraph('x'), { client_id: 'me' });
  await socket.waitForEnd();
  const lines = socket.messages.filter(({ type }) => type === 'logs');
  expect(lines[0]?.data).toMatchObject({
    entries: [{ m: '\u001b[32m[INFO]\u001b[0m got prompt\n' }],
    size: { cols: 80, rows: 24 },
  });
  expect(lines[1]?.data).toMatchObject({ size: null });
  await subscribe(comfy, 'me', false);
  await submit(comfy, textGraph('y'), { client_id: 'me' });
  expect(socket.messages.filter(({ type }) => type === 'logs')).toHaveLength(lines.length);
  expect(await get(comfy, '/internal/logs')).toMatch(/ - \S+ got prompt\n/);
  const { entries, size } = (await get(comfy, '/internal/logs/raw')) as {
    entries: { t: string; m: string }[];
    size: object;
  };
  expect(entries.find(({ m }) => m.includes('got prompt'))?.t).toMatch(/T\d\d:\d\d:\d\d\.\d{6}$/);
  expect(size).toEqual({ cols: 80, rows: 24 });
});

test('a subscription without a member ends in an internal error', async () => {
  await using comfy = await start();
  const response = await fetch(`${comfy.url}/internal/logs/subscribe`, {
    method: 'PATCH',
    body: '{"clientId": "me"}',
  });
  expect(response.status).toBe(500);
});

test('/internal/files lists the files of a folder, newest first', async () => {
  await using comfy = await start();
  for (const [at, name] of ['old.png', 'new.png', '.hidden'].entries()) {
    await writeFile(join(comfy.folders.output, name), name);
    await utimes(join(comfy.folders.output, name), 1000 + at, 1000 + at);
  }
  expect(await get(comfy, '/internal/files/output')).toEqual([
    'new.png [output]',
    'old.png [output]',
  ]);
  const odd = await fetch(`${comfy.url}/internal/files/user`);
  expect([odd.status, await odd.json()]).toEqual([400, { error: 'Invalid directory type' }]);
});

test('/view_metadata reads the metadata of a safetensors file', async () => {
  await using comfy = await start();
  const folder = join(dirname(comfy.folders.input), 'models', 'loras');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'a.safetensors'), safetensors({ __metadata__: { ss_tag: 'x' } }));
  await writeFile(join(folder, 'bare.safetensors'), safetensors({}));
  await writeFile(join(folder, '..', 'out.safetensors'), safetensors({ __metadata__: {} }));
  expect(await get(comfy, '/view_metadata/loras?filename=a.safetensors')).toEqual({ ss_tag: 'x' });
  for (const path of [
    'loras?filename=bare.safetensors',
    'loras?filename=no.safetensors',
    'loras',
    'odd?filename=a.safetensors',
    'loras?filename=../out.safetensors',
  ]) {
    expect((await fetch(`${comfy.url}/view_metadata/${path}`)).status).toBe(404);
  }
});

function safetensors(header: object): Buffer {
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json]);
}

test('settings are kept, one by one and together', async () => {
  await using comfy = await start();
  expect(await get(comfy, '/users')).toEqual({ storage: 'server', migrated: false });
  expect(await get(comfy, '/settings')).toEqual({});
  await post(comfy, '/settings', { 'Comfy.A': 1, 'Comfy.B': true });
  await post(comfy, '/settings/Comfy.A', '"two"');
  expect(await get(comfy, '/settings')).toEqual({ 'Comfy.A': 'two', 'Comfy.B': true });
  expect(await get(comfy, '/settings/Comfy.C')).toBeNull();
  expect(await get(comfy, '/users')).toEqual({ storage: 'server', migrated: true });
});

test('workflows of the user are written, listed, moved and deleted', async () => {
  await using comfy = await start();
  const list = (query: string) => get(comfy, `/userdata?dir=workflows${query}`);
  expect((await fetch(`${comfy.url}/userdata`)).status).toBe(400);
  expect((await fetch(`${comfy.url}/userdata?dir=workflows`)).status).toBe(404);
  const written = await post(comfy, '/userdata/workflows%2Fa.json?full_info=true', '{"x":1}');
  expect(await written.json()).toMatchObject({ path: 'workflows/a.json', size: 7 });
  const kept = await post(comfy, '/userdata/workflows%2Fa.json?overwrite=false', '{}');
  expect(kept.status).toBe(409);
  await post(comfy, '/userdata/workflows%2Fsub%2Fb.json', '{}');
  expect(await list('')).toEqual(['a.json']);
  expect(((await list('&recurse=true&split=true')) as string[][]).toSorted()).toEqual([
    ['a.json', 'a.json'],
    ['sub/b.json', 'sub', 'b.json'],
  ]);
  const moved = await post(comfy, '/userdata/workflows%2Fa.json/move/workflows%2Fc.json', '');
  expect(await moved.json()).toBe('workflows/c.json');
  const file = await fetch(`${comfy.url}/userdata/workflows%2Fc.json`);
  expect(file.headers.get('content-disposition')).toBe('attachment');
  expect(await file.text()).toBe('{"x":1}');
  const tree = (await get(comfy, '/v2/userdata?path=workflows')) as { path: string }[];
  expect(tree.map(({ path }) => path)).toEqual([
    'workflows/sub',
    'workflows/sub/b.json',
    'workflows/c.json',
  ]);
  const path = `${comfy.url}/userdata/workflows%2Fc.json`;
  expect((await fetch(path, { method: 'DELETE' })).status).toBe(204);
  expect((await fetch(path)).status).toBe(404);
  expect((await fetch(`${comfy.url}/userdata/..%2F..%2Fx`)).status).toBe(403);
});

test('the build of the editor is served at the root', async () => {
  const root = await mkdtemp(join(tmpdir(), 'front-end-'));
  await mkdir(join(root, 'extensions', 'core'), { recursive: true });
  await writeFile(join(root, 'index.html'), '<p>The editor');
  await writeFile(join(root, 'extensions', 'core', 'a.js'), '1');
  try {
    await using comfy = await start({ frontEndRoot: root });
    const page = await fetch(comfy.url);
    expect(await page.text()).toBe('<p>The editor');
    expect(page.headers.get('cache-control')).toBe('no-store, must-revalidate');
    expect(await get(comfy, '/extensions')).toEqual(['/extensions/core/a.js']);
    const script = await fetch(`${comfy.url}/extensions/core/a.js`);
    expect(script.headers.get('content-type')).toBe('text/javascript');
    expect((await fetch(`${comfy.url}/none.js`)).status).toBe(404);
    expect((await fetch(`${comfy.url}/extensions`, { method: 'HEAD' })).status).toBe(200);
  } finally {
    await rm(root, { recursive: true });
  }
});

test('blueprints are listed without their content and fetched by id', async () => {
  await using comfy = await start({ blueprints: new Map([['Blur', '{"nodes":[]}']]) });
  const list = (await get(comfy, '/global_subgraphs')) as Record<string, object>;
  const [[id, entry] = []] = Object.entries(list);
  expect(entry).toEqual({ source: 'templates', name: 'Blur', info: { node_pack: 'comfyui' } });
  expect(await get(comfy, `/global_subgraphs/${id}`)).toMatchObject({ data: '{"nodes":[]}' });
  expect(await get(comfy, '/global_subgraphs/none')).toBeNull();
});

test('a job that waits is dequeued, one that has ended stays as it is', async () => {
  await using comfy = await start();
  const promptId = await submit(comfy, textGraph('x'));
  await comfy.waitFor({ type: 'history', promptId });
  const cancel = async (path: string, body?: unknown) =>
    (await post(comfy, path, body ?? '')).json();
  expect(await cancel(`/api/jobs/${promptId}/cancel`)).toEqual({ cancelled: false });
  expect(await cancel('/api/jobs/cancel', { job_ids: [idFor('a')] })).toEqual({ cancelled: false });
  expect(await cancel('/api/jobs/cancel', { job_ids: ['x', 5] })).toEqual({
    error: 'job_ids contains invalid id(s)',
    invalid_ids: ['x', '5'],
  });
  expect(await cancel('/api/jobs/cancel', {})).toEqual({ error: 'job_ids must be a list' });
  expect(await cancel('/api/jobs/cancel', '{')).toEqual({
    error: 'Request body must be valid JSON',
  });
  const old = await start({ version: '0.8.0' });
  expect((await post(old, '/api/jobs/cancel', {})).status).toBe(405);
  await old[Symbol.asyncDispose]();
});

test('texts do not count as outputs of a job, but are shown when there is nothing else', async () => {
  await using comfy = await start();
  const promptId = await submit(comfy, textGraph('y'.repeat(2000)));
  await comfy.waitFor({ type: 'history', promptId });
  expect(await get(comfy, `/api/jobs/${promptId}`)).toMatchObject({
    outputs_count: 0,
    previewable_outputs_count: 0,
    preview_output: { content: 'y'.repeat(1024), truncated: true, nodeId: '1', mediaType: 'text' },
  });
});
