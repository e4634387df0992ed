import { expect, test } from '@jest/globals';
import {
  get,
  post,
  ProbeSocket,
  queueOf,
  samplerGraph,
  submit,
  textGraph,
  idFor,
} from './testing/probe-client.ts';
import { PROBE_NODES } from './testing/probe-nodes.ts';
import { startComfySimulator } from './simulator.ts';

const start = (options = {}) => startComfySimulator({ nodes: PROBE_NODES, ...options });

const image = {
  class_type: 'EmptyImage',
  inputs: { width: 8, height: 8, batch_size: 1, color: 0 },
};

interface Entry {
  readonly outputs: Record<string, unknown>;
  readonly meta: Record<string, unknown>;
  readonly status: { status_str: string; messages: [string, Record<string, unknown>][] };
}

async function historyOf(comfy: Awaited<ReturnType<typeof start>>, promptId: string) {
  await comfy.waitFor({ type: 'history', promptId });
  const body = (await get(comfy, `/history/${promptId}`)) as Record<string, Entry>;
  return body[promptId]!;
}

test('the client of a prompt gets every message, other clients only the queue length', async () => {
  await using comfy = await start({ speed: Infinity });
  using mine = await ProbeSocket.open(comfy, 'mine');
  using other = await ProbeSocket.open(comfy, 'other');
  await submit(comfy, samplerGraph({ steps: 1 }), { client_id: 'mine' });
  await mine.waitForEnd();
  await other.ping();
  const node = ['progress_state', 'executing', 'progress_state'];
  const step = ['progress_state', 'progress', 'frame 1'];
  expect(mine.types).toEqual([
    ...['status', 'status', 'status', 'execution_start', 'execution_cached'],
    ...node,
    ...['progress_state', 'executing', ...step, 'progress_state'],
    ...['progress_state', 'executing', 'executed', 'progress_state'],
    ...['execution_success', 'status', 'executing null'],
  ]);
  expect(other.types).toEqual(['status', 'status', 'status', 'status']);
});

test('a prompt without a client sends only its progress, to all sockets', async () => {
  await using comfy = await start({ speed: Infinity });
  using one = await ProbeSocket.open(comfy);
  const promptId = await submit(comfy, samplerGraph({ steps: 1 }));
  await comfy.waitFor({ type: 'ended', promptId });
  await one.waitFor(
    ({ type, data }) => type === 'status' && remaining(data) === 0 && one.messages.length > 4,
  );
  expect(new Set(one.types)).toEqual(new Set(['status', 'progress_state', 'progress', 'frame 1']));
  expect(sidOf(one)).toMatch(/^[0-9a-f]{32}$/);
});

const remaining = (data: unknown) =>
  (data as { status: { exec_info: { queue_remaining: number } } }).status.exec_info.queue_remaining;
const sidOf = (socket: ProbeSocket) => (socket.messages[0]!.data as { sid: string }).sid;

test('the same prompt again runs nothing and reports the old files', async () => {
  await using comfy = await start({ speed: Infinity });
  await submit(comfy, samplerGraph(), { client_id: 'a' });
  const again = await submit(comfy, samplerGraph(), { client_id: 'a' });
  const entry = await historyOf(comfy, again);
  expect(entry.status.messages[1]![1]).toMatchObject({ nodes: ['1', '2', '3'] });
  expect(entry.outputs).toMatchObject({ 3: { images: [{ filename: 'T_00001_.png' }] } });
});

test('the same prompt again without a client has no outputs', async () => {
  await using comfy = await start({ speed: Infinity });
  await submit(comfy, samplerGraph());
  const entry = await historyOf(comfy, await submit(comfy, samplerGraph()));
  expect(entry).toMatchObject({ outputs: {}, status: { status_str: 'success' } });
});

test('a graph with other node ids is served from the cache under the new ids', async () => {
  await using comfy = await start({ speed: Infinity });
  await submit(comfy, textGraph('x'), { client_id: 'a' });
  const renumbered = { 7: textGraph('x')[1] };
  const entry = await historyOf(comfy, await submit(comfy, renumbered, { client_id: 'a' }));
  expect(entry).toMatchObject({ outputs: { 7: { text: ['x'] } }, meta: { 7: { node_id: '1' } } });
});

test('free_memory empties the cache', async () => {
  await using comfy = await start({ speed: Infinity });
  await comfy.waitFor({ type: 'history', promptId: await submit(comfy, samplerGraph()) });
  await post(comfy, '/free', { free_memory: true });
  const entry = await historyOf(comfy, await submit(comfy, samplerGraph()));
  expect(entry.status.messages[1]![1]).toMatchObject({ nodes: [] });
  expect(entry.outputs).toMatchObject({ 3: { images: [{ filename: 'T_00002_.png' }] } });
});

test('prompts run in order of number, then id', async () => {
  await using comfy = await start();
  const first = await submit(comfy, samplerGraph({ steps: 500, stepMs: 10 }));
  const texts: [string, object][] = [
    ['n', {}],
    ['a', { front: true }],
    ['b', { front: true }],
    ['x', { number: -1e9 }],
  ];
  for (const [id, fields] of texts) {
    await submit(comfy, textGraph(id), { prompt_id: idFor(id), ...fields });
  }
  await post(comfy, '/interrupt', { prompt_id: first });
  await comfy.waitFor({ type: 'history', promptId: idFor('n') });
  expect(comfy.prompts.map(({ promptId }) => promptId)).toEqual([
    first,
    ...['x', 'b', 'a', 'n'].map(idFor),
  ]);
});

test('of two prompts with one id and number, the second is answered 500 and still runs', async () => {
  await using comfy = await start();
  const first = await submit(comfy, samplerGraph({ steps: 500, stepMs: 10 }));
  const twin = { prompt: textGraph('x'), prompt_id: idFor('t'), number: 5 };
  expect((await post(comfy, '/prompt', twin)).status).toBe(200);
  expect((await post(comfy, '/prompt', twin)).status).toBe(500);
  await post(comfy, '/interrupt', { prompt_id: first });
  await comfy.waitFor({ type: 'ended', promptId: idFor('t') });
  await comfy.waitFor({ type: 'ended', promptId: idFor('t') }, { next: true });
});

test('interrupting an idle server does not affect the next prompt', async () => {
  await using comfy = await start({ speed: Infinity });
  await post(comfy, '/interrupt', '');
  const entry = await historyOf(comfy, await submit(comfy, samplerGraph()));
  expect(entry.status.status_str).toBe('success');
});

test('an interrupt during a node without progress takes effect at the next node', async () => {
  await using comfy = await start();
  const graph = {
    1: image,
    2: { class_type: 'ProbeSleep', inputs: { image: ['1', 0], ms: 30 } },
    3: { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'T' } },
  };
  const promptId = await submit(comfy, graph);
  await comfy.waitFor({ type: 'executing', promptId, nodeId: '2' });
  await post(comfy, '/interrupt', { prompt_id: promptId });
  const entry = await historyOf(comfy, promptId);
  expect(entry.status.messages.at(-1)).toMatchObject(['execution_interrupted', { node_id: '3' }]);
});

test('out of memory fails its prompt, but not the next one', async () => {
  await using comfy = await start({ speed: Infinity });
  const graph = {
    1: image,
    2: { class_type: 'ProbeOutOfMemory', inputs: { image: ['1', 0] } },
    3: { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'T' } },
  };
  const failed = await historyOf(comfy, await submit(comfy, graph));
  const error = { exception_type: 'torch.OutOfMemoryError' };
  expect(failed.status.messages.at(-1)).toMatchObject(['execution_error', error]);
  const next = await historyOf(comfy, await submit(comfy, textGraph('x')));
  expect(next.status.status_str).toBe('success');
});

test.each([
  ['nope', ['execution_error']],
  ['', []],
])('a branch blocked with "%s" fails nothing', async (message, sent) => {
  await using comfy = await start({ speed: Infinity });
  using socket = await ProbeSocket.open(comfy, 'a');
  const graph = {
    1: image,
    2: { class_type: 'ProbeBlock', inputs: { image: ['1', 0], message } },
    3: { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'T' } },
  };
  const promptId = await submit(comfy, graph, { client_id: 'a' });
  await socket.waitForEnd(promptId);
  expect(socket.types.filter((type) => type === 'execution_error')).toEqual(sent);
  const entry = await historyOf(comfy, promptId);
  expect(entry).toMatchObject({ outputs: {}, status: { status_str: 'success' } });
});

test('a cycle found at run time is reported, and the prompt counts as a success', async () => {
  await using comfy = await start({ speed: Infinity });
  const graph = {
    1: { class_type: 'EmptyImage', inputs: { ...image.inputs, undeclared: ['2', 0] } },
    2: { class_type: 'ImageInvert', inputs: { image: ['1', 0] } },
    3: { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'T' } },
  };
  const entry = await historyOf(comfy, await submit(comfy, graph));
  expect(entry.status.status_str).toBe('success');
  const error = { exception_type: 'graph.DependencyCycleError' };
  expect(entry.status.messages.at(-1)).toMatchObject(['execution_error', error]);
});

test.each([
  ['an undeclared link to no node', { ...image, inputs: { ...image.inputs, bogus: ['999', 0] } }],
  ['a stray node without inputs', image],
])('a poison prompt kills the executor while HTTP stays healthy: %s', async (what, node) => {
  await using comfy = await start({ speed: Infinity });
  const stray = what.startsWith('a stray') ? { 9: { class_type: 'EmptyImage' } } : {};
  const save = { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'T' } };
  const promptId = await submit(comfy, { 1: node, 2: save, ...stray });
  await comfy.waitFor({ type: 'executor_died' });
  const next = await submit(comfy, textGraph('x'));
  expect(await queueOf(comfy)).toEqual({ running: [promptId], pending: [next] });
});

test('a graph is returned exactly as sent: order of nodes, large integers, floats', async () => {
  await using comfy = await start({ speed: Infinity });
  const sent =
    '{"10": {"class_type": "ProbeValue", "inputs": {"value": 18446744073709551615, "x": 1.0}}, ' +
    '"9": {"class_type": "ProbeText", "inputs": {"text": "caf\\u00e9"}}}';
  const response = await post(
    comfy,
    '/prompt',
    `{"prompt": ${sent}, "prompt_id": "${idFor('p')}"}`,
  );
  expect(response.status).toBe(200);
  await comfy.waitFor({ type: 'history', promptId: idFor('p') });
  const text = await (await fetch(`${comfy.url}/history/${idFor('p')}`)).text();
  expect(text).toContain(sent);
  expect(text).toContain('"10": {"text": ["bigint 18446744073709551615"]}');
});

test('NaN and infinities are written bare', async () => {
  await using comfy = await start({ speed: Infinity });
  const promptId = await submit(comfy, { 1: { class_type: 'ProbeNaN', inputs: {} } });
  await comfy.waitFor({ type: 'history', promptId });
  const text = await (await fetch(`${comfy.url}/history/${promptId}`)).text();
  expect(text).toContain('"score": [NaN, -Infinity]');
});

test('a cached output node that shows nothing is announced with null', async () => {
  await using comfy = await start({ speed: Infinity });
  using socket = await ProbeSocket.open(comfy, 'a');
  const graph = { 1: image, 2: { class_type: 'ProbeSilent', inputs: { image: ['1', 0] } } };
  await submit(comfy, graph, { client_id: 'a' });
  await socket.waitForEnd(await submit(comfy, graph, { client_id: 'a' }));
  const executed = socket.messages.find(({ type }) => type === 'executed');
  expect(executed?.data).toMatchObject({ node: '2', output: null });
});

test('API keys are neither in the queue nor in the history', async () => {
  await using comfy = await start({ speed: Infinity });
  const fields = { prompt_id: idFor('p'), extra_data: { api_key_comfy_org: 'secret', keep: 1 } };
  await submit(comfy, textGraph('x'), fields);
  await comfy.waitFor({ type: 'history', promptId: idFor('p') });
  const text = await (await fetch(`${comfy.url}/history/${idFor('p')}`)).text();
  expect(text).toContain('"keep": 1');
  expect(text).not.toContain('secret');
});

test('the history keeps the last entries and lists them in order', async () => {
  await using comfy = await start({ speed: Infinity, historyCapacity: 3 });
  for (const id of ['a', 'b', 'c', 'd'])
    await submit(comfy, textGraph(id), { prompt_id: idFor(id) });
  await comfy.waitFor({ type: 'history', promptId: idFor('d') });
  const ids = async (query: string) =>
    Object.keys((await get(comfy, `/history${query}`)) as object);
  expect(await ids('')).toEqual(['b', 'c', 'd'].map(idFor));
  expect(await ids('?max_items=2')).toEqual(['c', 'd'].map(idFor));
  expect(await ids('?max_items=1&offset=0')).toEqual(['b'].map(idFor));
  expect(await ids('?max_items=0')).toEqual([]);
  await post(comfy, '/history', { delete: [idFor('c'), 'unknown'] });
  expect(await ids('')).toEqual(['b', 'd'].map(idFor));
  expect((await fetch(`${comfy.url}/history?max_items=x`)).status).toBe(500);
});

test('previews can be switched off', async () => {
  await using comfy = await start({ speed: Infinity, previews: false });
  using socket = await ProbeSocket.open(comfy, 'a');
  await socket.waitForEnd(await submit(comfy, samplerGraph(), { client_id: 'a' }));
  expect(socket.types).toContain('progress');
  expect(socket.types).not.toContain('frame 1');
});

test('the temporary folder is deleted at the end', async () => {
  const comfy = await start();
  const { folders } = comfy;
  await comfy[Symbol.asyncDispose]();
  const { existsSync } = await import('node:fs');
  expect(existsSync(folders.output)).toBe(false);
});

test.each([
  ['1.0', '1.0'],
  ['1e16', '1e+16'],
  ['0.00001', '1e-05'],
  ['-0.0', '-0.0'],
  ['3', '3'],
  ['true', 'True'],
  ['null', 'None'],
  ['{"a": [1, 2.0]}', '{\n    "a": [\n        1,\n        2.0\n    ]\n}'],
])('PreviewAny prints %s as Python does', async (source, text) => {
  await using comfy = await start({ speed: Infinity });
  const graph = `{"1": {"class_type": "PreviewAny", "inputs": {"source": ${source}}}}`;
  await post(comfy, '/prompt', `{"prompt": ${graph}, "prompt_id": "${idFor('p')}"}`);
  await comfy.waitFor({ type: 'history', promptId: idFor('p') });
  expect(await get(comfy, `/history/${idFor('p')}`)).toMatchObject({
    [idFor('p')]: { outputs: { 1: { text: [text] } } },
  });
});
