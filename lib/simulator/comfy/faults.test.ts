import { expect, test } from '@jest/globals';
import type { NodeDefinition } from './nodes/node.ts';
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

test.each([
  ['close', 1001],
  ['reset', 1006],
] as const)('a socket can be broken at a node: %s', async (how, code) => {
  await using comfy = await start({ speed: Infinity });
  using socket = await ProbeSocket.open(comfy, 'a');
  const broken = comfy.faults.breakSockets(how, { at: { type: 'executing', nodeId: '2' } });
  const promptId = await submit(comfy, samplerGraph(), { client_id: 'a' });
  await broken;
  expect(await socket.closed).toBe(code);
  await comfy.waitFor({ type: 'ended', promptId });
  expect(socket.types).not.toContain('executed');
});

test.each([
  'accepted',
  'execution_start',
  'progress',
  'executed',
  'execution_success',
  'ended',
] as const)('a socket broken at %s gets nothing from there on', async (type) => {
  await using comfy = await start({ speed: Infinity });
  using socket = await ProbeSocket.open(comfy, 'a');
  const broken = comfy.faults.breakSockets('close', { at: { type } });
  const promptId = await submit(comfy, samplerGraph(), { client_id: 'a' });
  await broken;
  await socket.closed;
  await comfy.waitFor({ type: 'history', promptId });
  expect(socket.types).not.toContain(type === 'ended' ? 'executing null' : type);
  expect(socket.types.includes('execution_success')).toBe(type === 'ended');
});

test('a stalled socket stays open, sends nothing, and does not answer pings', async () => {
  await using comfy = await start({ speed: Infinity });
  using socket = await ProbeSocket.open(comfy, 'a');
  await socket.ping();
  await comfy.faults.breakSockets('stall');
  const pong = socket.ping().then(() => 'pong');
  const promptId = await submit(comfy, textGraph('x'), { client_id: 'a' });
  await comfy.waitFor({ type: 'ended', promptId });
  expect(await Promise.race([pong, get(comfy, '/prompt').then(() => 'silence')])).toBe('silence');
  expect(socket.types).toEqual(['status']);
});

test('a client that reconnects while its prompt runs is sent the current node, without a prompt id', async () => {
  await using comfy = await start();
  using before = await ProbeSocket.open(comfy, 'a');
  const promptId = await submit(comfy, samplerGraph({ steps: 300, stepMs: 10 }), {
    client_id: 'a',
  });
  await comfy.waitFor({ type: 'progress', promptId });
  await comfy.faults.breakSockets('close');
  await before.closed;
  using after = await ProbeSocket.open(comfy, 'a');
  await after.waitFor(({ type }) => type === 'executing');
  expect(after.messages[1]).toEqual({ type: 'executing', data: { node: '2' } });
  await post(comfy, '/interrupt', {});
  await after.waitForEnd(promptId);
});

test('closing an old socket unregisters the new one of the same client', async () => {
  await using comfy = await start({ speed: Infinity });
  using before = await ProbeSocket.open(comfy, 'a');
  using after = await ProbeSocket.open(comfy, 'a');
  await after.waitFor(({ type }) => type === 'status');
  const closed = comfy.waitFor({ type: 'socket_close', clientId: 'a' });
  before.close();
  await closed;
  const promptId = await submit(comfy, textGraph('x'), { client_id: 'a' });
  await comfy.waitFor({ type: 'ended', promptId });
  await after.ping();
  expect(after.types).toEqual(['status']);
});

test('after a dropped registration the socket stays open and gets no messages', async () => {
  await using comfy = await start({ speed: Infinity });
  using socket = await ProbeSocket.open(comfy, 'a');
  await socket.waitFor(({ type }) => type === 'status');
  comfy.faults.dropRegistration('a');
  await comfy.waitFor({ type: 'ended', promptId: await submit(comfy, textGraph('x')) });
  await socket.ping();
  expect(socket.types).toEqual(['status']);
});

test('a stalled publisher holds messages back and later sends them in order', async () => {
  await using comfy = await start({ speed: Infinity });
  using socket = await ProbeSocket.open(comfy, 'a');
  await socket.waitFor(({ type }) => type === 'status');
  const endFault = comfy.faults.stallPublisher();
  const promptId = await submit(comfy, textGraph('x'), { client_id: 'a' });
  await comfy.waitFor({ type: 'ended', promptId });
  await socket.ping();
  expect(socket.types).toEqual(['status']);
  endFault();
  await socket.waitForEnd(promptId);
});

test('a client that does not read delays the messages of all clients, but no prompt', async () => {
  const nodes = new Map([...PROBE_NODES, HUGE_PREVIEWS]);
  await using comfy = await start({ nodes, speed: Infinity });
  using paused = await ProbeSocket.open(comfy, 'paused');
  using other = await ProbeSocket.open(comfy, 'other');
  await other.waitFor(({ type }) => type === 'status');
  paused.pause();
  const graph = { 1: { class_type: 'HugePreviews', inputs: {} } };
  const huge = await submit(comfy, graph, { client_id: 'paused' });
  await comfy.waitFor({ type: 'history', promptId: huge });
  const promptId = await submit(comfy, textGraph('x'), { client_id: 'other' });
  await comfy.waitFor({ type: 'history', promptId });
  await other.ping();
  expect(other.types).not.toContain('executing null');
  await comfy.faults.breakSockets('reset', { clientId: 'paused' });
  await other.waitForEnd(promptId);
});

test('new websockets can be refused, while HTTP goes on', async () => {
  await using comfy = await start();
  const endFault = comfy.faults.refuseSockets(503);
  await expect(ProbeSocket.open(comfy, 'a')).rejects.toThrow('503');
  expect(await queueOf(comfy)).toEqual({ running: [], pending: [] });
  endFault();
  using socket = await ProbeSocket.open(comfy, 'a');
  await socket.waitFor(({ type }) => type === 'status');
});

test('connections can be refused, and accepted again', async () => {
  await using comfy = await start();
  const endFault = comfy.faults.refuseConnections();
  await expect(fetch(`${comfy.url}/queue`)).rejects.toThrow();
  endFault();
  expect((await fetch(`${comfy.url}/queue`)).status).toBe(200);
});

test('a delayed history entry appears when the fault ends, after the end of the prompt was sent', async () => {
  await using comfy = await start({ speed: Infinity });
  const endFault = comfy.faults.delayHistory();
  const promptId = await submit(comfy, textGraph('x'));
  await comfy.waitFor({ type: 'ended', promptId });
  expect(await get(comfy, `/history/${promptId}`)).toEqual({});
  expect(await queueOf(comfy)).toEqual({ running: [], pending: [] });
  endFault();
  await comfy.waitFor({ type: 'history', promptId });
  expect(await get(comfy, `/history/${promptId}`)).toHaveProperty([promptId]);
});

test('an answer to POST /prompt can be lost while the prompt runs', async () => {
  await using comfy = await start({ speed: Infinity });
  comfy.faults.failAnswers({ request: 'POST /prompt', how: 'lose' });
  await expect(submit(comfy, textGraph('x'), { prompt_id: idFor('p') })).rejects.toThrow();
  await comfy.waitFor({ type: 'history', promptId: idFor('p') });
  await submit(comfy, textGraph('x'), { prompt_id: idFor('q') });
});

test('a path can answer with an error, with or without handling the request', async () => {
  await using comfy = await start({ speed: Infinity });
  comfy.faults.failAnswers({ request: 'GET /queue', how: 'refuse', times: 2 });
  const statuses = [];
  for (let at = 0; at < 3; at++) statuses.push((await fetch(`${comfy.url}/api/queue`)).status);
  expect(statuses).toEqual([500, 500, 200]);
  comfy.faults.failAnswers({ request: 'POST /prompt', how: 'break', status: 502 });
  const body = { prompt: textGraph('x'), prompt_id: idFor('p') };
  expect((await post(comfy, '/prompt', body)).status).toBe(502);
  await comfy.waitFor({ type: 'history', promptId: idFor('p') });
});

test('an answer can be delayed', async () => {
  await using comfy = await start({ speed: Infinity });
  comfy.faults.failAnswers({ request: 'POST /prompt', how: 'delay', delayMs: 50 });
  const answer = submit(comfy, textGraph('x'), { prompt_id: idFor('p') }).then(() => 'answered');
  const ended = comfy.waitFor({ type: 'ended', promptId: idFor('p') }).then(() => 'ended');
  expect(await Promise.race([answer, ended])).toBe('ended');
  expect(await answer).toBe('answered');
});

test('when the executor is killed, its prompt stays in the queue and HTTP goes on', async () => {
  await using comfy = await start();
  const promptId = await submit(comfy, samplerGraph({ steps: 300, stepMs: 5 }));
  await comfy.waitFor({ type: 'progress', promptId });
  comfy.faults.killExecutor();
  await comfy.waitFor({ type: 'executor_died' });
  await post(comfy, '/interrupt', {});
  expect(await queueOf(comfy)).toEqual({ running: [promptId], pending: [] });
});

test('a dead process refuses connections; a new one has the same address and an empty memory', async () => {
  await using comfy = await start({ speed: Infinity });
  const { url } = comfy;
  using socket = await ProbeSocket.open(comfy, 'a');
  await submit(comfy, textGraph('x'));
  const promptId = await submit(comfy, samplerGraph({ prefix: 'kept' }));
  await comfy.waitFor({ type: 'history', promptId });
  await comfy.faults.die();
  expect(await socket.closed).toBe(1006);
  await expect(fetch(`${url}/queue`)).rejects.toThrow();
  await comfy.faults.restart();
  expect(comfy.url).toBe(url);
  expect(await get(comfy, `/history/${promptId}`)).toEqual({});
  const response = await post(comfy, '/prompt', { prompt: textGraph('x') });
  expect(await response.json()).toMatchObject({ number: 0 });
  expect((await fetch(`${url}/view?filename=kept_00001_.png`)).status).toBe(200);
});

test('a node can crash the process', async () => {
  await using comfy = await start({ speed: Infinity });
  const { 1: image } = samplerGraph();
  const crash = { class_type: 'ProbeCrash', inputs: { image: ['1', 0] } };
  const save = { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'T' } };
  await submit(comfy, { 1: image, 2: crash, 3: save });
  await comfy.waitFor({ type: 'process_died' });
  await expect(fetch(`${comfy.url}/queue`)).rejects.toThrow();
});

test('an answer of /view can be truncated', async () => {
  await using comfy = await start({ speed: Infinity });
  await comfy.waitFor({ type: 'history', promptId: await submit(comfy, samplerGraph()) });
  const endFault = comfy.faults.failViews({ truncateAtBytes: 20 });
  const view = `${comfy.url}/view?filename=T_00001_.png`;
  const response = await fetch(view);
  await expect(response.arrayBuffer()).rejects.toThrow();
  endFault();
  expect((await (await fetch(view)).arrayBuffer()).byteLength).toBeGreaterThan(20);
});

test('an answer of /view can be slow', async () => {
  await using comfy = await start({ speed: Infinity });
  await comfy.waitFor({ type: 'history', promptId: await submit(comfy, samplerGraph()) });
  const view = `${comfy.url}/view?filename=T_00001_.png`;
  const whole = Buffer.from(await (await fetch(view)).arrayBuffer());
  comfy.faults.failViews({ bytesPerSecond: 10 * whole.length });
  const slow = Buffer.from(await (await fetch(view)).arrayBuffer());
  expect(slow.equals(whole)).toBe(true);
});

const HUGE_PREVIEWS: [string, NodeDefinition] = [
  'HugePreviews',
  {
    info: () => ({
      input: {},
      input_order: {},
      output: [],
      output_is_list: [],
      output_name: [],
      name: 'HugePreviews',
      display_name: null,
      python_module: 'custom_nodes.probe',
      category: 'probe',
      output_node: true,
    }),
    async execute(_, context) {
      for (let step = 1; step <= 4; step++) {
        await context.progress(step, 4, Buffer.alloc(8 * 1024 * 1024));
      }
      return {};
    },
  },
];
