import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { WorkerError } from '../../errors.ts';
import type { ComfyBackend } from '../backend.ts';
import { ScriptedComfy } from '../scripted-comfy.ts';
import { never, openComfy, silentLog, tinyWorkflow } from '../test-comfy.ts';

const options = { signal: never, log: silentLog };

/** A prompt that ComfyUI has accepted and that runs. */
async function startPrompt(scripted: ScriptedComfy, comfy: ComfyBackend, signal = never) {
  const submitted = scripted.next('POST /prompt');
  const outcome = comfy.runPrompt({ workflow: tinyWorkflow }, { ...options, signal });
  outcome.catch(() => undefined);
  await submitted;
  return { outcome, promptId: scripted.running.at(-1)! };
}

const drop = (scripted: ScriptedComfy) => scripted.sockets.forEach((socket) => socket.terminate());

test('a prompt that ended while the socket was down is still returned', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  const { outcome, promptId } = await startPrompt(scripted, comfy);
  scripted.record(promptId, { outputs: { 9: {} } });
  drop(scripted);
  expect((await outcome).outputs?.text).toBe('{"9":{}}');
  expect(scripted.clientIds).toHaveLength(1);
});

test('an error that happened while the socket was down is still an error', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  const { outcome, promptId } = await startPrompt(scripted, comfy);
  scripted.record(promptId, {
    status_str: 'error',
    messages: [['execution_error', { node_id: '5', node_type: 'X', exception_message: 'm' }]],
  });
  drop(scripted);
  expect(await outcome).toMatchObject({
    ending: 'failed',
    problems: ['Workflow execution error: Node Type: X, Node ID: 5, Message: m'],
  });
});

test('after a loss a new connection has a new id, and a change of the queue makes the worker look', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { pollIntervalMs: 60_000 });
  const { outcome, promptId } = await startPrompt(scripted, comfy);
  drop(scripted);
  await scripted.next('GET /');
  await scripted.nextSocket();
  scripted.record(promptId);
  scripted.tell('status', {});
  expect((await outcome).ending).toBe('succeeded');
  expect(new Set(scripted.clientIds).size).toBe(2);
});

test('a connection that is lost again and again does not stop the following of a prompt', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { pollIntervalMs: 20 });
  const { outcome, promptId } = await startPrompt(scripted, comfy);
  for (let i = 0; i < 5; i++) {
    const next = scripted.nextSocket();
    drop(scripted);
    await next;
  }
  scripted.record(promptId);
  expect((await outcome).ending).toBe('succeeded');
});

test('events that stop while the connection stays open do not stop the worker', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { pollIntervalMs: 10 });
  const { outcome, promptId } = await startPrompt(scripted, comfy);
  await scripted.next('GET /queue');
  scripted.record(promptId);
  expect((await outcome).ending).toBe('succeeded');
});

test('a half-open connection is noticed by its silence to pings', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { pingIntervalMs: 20, pollIntervalMs: 60_000 });
  const { outcome, promptId } = await startPrompt(scripted, comfy);
  scripted.stall();
  await scripted.nextSocket();
  scripted.end(promptId);
  expect((await outcome).ending).toBe('succeeded');
});

test('two prompts that lose their connection share the new one', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  const first = await startPrompt(scripted, comfy);
  const second = await startPrompt(scripted, comfy);
  drop(scripted);
  await scripted.nextSocket();
  scripted.end(first.promptId);
  scripted.end(second.promptId);
  await Promise.all([first.outcome, second.outcome]);
  expect(scripted.clientIds).toHaveLength(2);
});

test('when ComfyUI no longer answers, reconnecting stops at once with the text clients know', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, {
    reconnect: { attempts: 5, delayMs: 60_000 },
    limits: { cancelMs: 20 },
  });
  const { outcome } = await startPrompt(scripted, comfy);
  scripted.script('GET /', () => ({ status: 503 }));
  drop(scripted);
  await expect(outcome).rejects.toMatchObject({
    code: 'comfy.socket_failed',
    message: 'WebSocket communication error: ComfyUI HTTP unreachable during websocket reconnect',
  });
});

test('when every try to reconnect is refused, the prompt is taken back and fails with the text clients know', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { reconnect: { attempts: 2, delayMs: 1 } });
  const { outcome, promptId } = await startPrompt(scripted, comfy);
  scripted.script('GET /ws', () => ({}));
  scripted.script('POST /interrupt', ({ body }) => {
    expect(JSON.parse(body.toString())).toEqual({ prompt_id: promptId });
    scripted.record(promptId, { messages: [['execution_interrupted', {}]] });
    return {};
  });
  drop(scripted);
  await expect(outcome).rejects.toMatchObject({
    code: 'comfy.socket_failed',
    message:
      'WebSocket communication error: Connection closed and failed to reconnect. Last error: Handshake status 404 Not Found',
  });
  expect(scripted.count('GET /')).toBe(2);
  expect(scripted.running).toEqual([]);
});

test('with no tries allowed, a loss is final and says how the connection ended', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, {
    reconnect: { attempts: 0, delayMs: 1 },
    limits: { cancelMs: 20 },
  });
  const { outcome } = await startPrompt(scripted, comfy);
  drop(scripted);
  await expect(outcome).rejects.toThrow(
    'WebSocket communication error: Connection closed and failed to reconnect. Last error: Connection to remote host was lost.',
  );
});

test('a prompt that is nowhere is lost, and the error says what that means', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { pollIntervalMs: 10, limits: { doubtMs: 100 } });
  const { outcome, promptId } = await startPrompt(scripted, comfy);
  scripted.remove(promptId);
  await expect(outcome).rejects.toMatchObject({
    code: 'comfy.prompt_lost',
    message: expect.stringMatching(
      new RegExp(`^Prompt ${promptId} is neither in ComfyUI's queue nor`),
    ) as unknown as string,
  });
  expect(scripted.count('POST /interrupt')).toBe(0);
});

test('a prompt that says nothing for too long while it runs is interrupted', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { pollIntervalMs: 10, silenceTimeoutMs: 40 });
  const { outcome, promptId } = await startPrompt(scripted, comfy);
  const interrupted = scripted.next('POST /interrupt');
  await interrupted;
  scripted.record(promptId);
  await expect(outcome).rejects.toMatchObject({ code: 'comfy.silent' });
});

test('a prompt that waits behind others may be silent for as long as it takes', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { pollIntervalMs: 5, silenceTimeoutMs: 20 });
  const { outcome, promptId } = await startPrompt(scripted, comfy);
  scripted.pending.push(...scripted.running.splice(0));
  for (let i = 0; i < 10; i++) await scripted.next('GET /queue');
  scripted.end(promptId);
  expect((await outcome).ending).toBe('succeeded');
});

test('a queue that cannot be asked for a while is not the end of the prompt', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { pollIntervalMs: 5 });
  scripted.script('GET /queue', () => ({ status: 500 }));
  const { outcome, promptId } = await startPrompt(scripted, comfy);
  await scripted.next('GET /queue');
  await scripted.next('GET /queue');
  scripted.end(promptId);
  expect((await outcome).ending).toBe('succeeded');
});

test('a prompt of an aborted job is interrupted, by its id, before the job is given up', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  const job = new AbortController();
  const { outcome, promptId } = await startPrompt(scripted, comfy, job.signal);
  scripted.running.push('another');
  const reason = new WorkerError('job.stopped', 'stopped');
  scripted.script('POST /interrupt', ({ body }) => {
    expect(JSON.parse(body.toString())).toEqual({ prompt_id: promptId });
    if (scripted.count('POST /interrupt') === 3) scripted.record(promptId);
    return {};
  });
  job.abort(reason);
  await expect(outcome).rejects.toBe(reason);
  expect(scripted.running).toEqual(['another']);
  expect(
    JSON.parse(scripted.requests.find(({ route }) => route === 'POST /queue')!.body.toString()),
  ).toEqual({
    delete: [promptId],
  });
});

test('a prompt that still waits when its job is aborted is removed from the queue, and nothing is interrupted', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  const job = new AbortController();
  const { outcome } = await startPrompt(scripted, comfy, job.signal);
  scripted.pending.push(...scripted.running.splice(0));
  job.abort(new WorkerError('job.stopped', 'stopped'));
  await expect(outcome).rejects.toThrow('stopped');
  expect(scripted.pending).toEqual([]);
  expect(scripted.count('POST /interrupt')).toBe(0);
});

test('a job aborted while its prompt is on its way leaves no prompt behind', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  const job = new AbortController();
  scripted.script('POST /prompt', async ({ body }) => {
    const { prompt_id } = JSON.parse(body.toString()) as { prompt_id: string };
    job.abort(new WorkerError('job.stopped', 'stopped'));
    await setImmediate();
    scripted.pending.push(prompt_id);
    return { body: JSON.stringify({ prompt_id }) };
  });
  const running = comfy.runPrompt({ workflow: tinyWorkflow }, { ...options, signal: job.signal });
  await expect(running).rejects.toThrow('stopped');
  expect(scripted.pending).toEqual([]);
});

test('a prompt that cannot be interrupted is given up after a bounded time', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { limits: { cancelMs: 30 } });
  const job = new AbortController();
  const { outcome } = await startPrompt(scripted, comfy, job.signal);
  job.abort(new WorkerError('job.stopped', 'stopped'));
  await expect(outcome).rejects.toThrow('stopped');
});

test('an interrupt by somebody else is told as such', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  const { outcome, promptId } = await startPrompt(scripted, comfy);
  scripted.end(promptId, {
    status_str: 'error',
    outputs: { 3: {} },
    messages: [['execution_interrupted', { node_id: '2', node_type: 'KSampler' }]],
  });
  expect(await outcome).toMatchObject({
    ending: 'interrupted',
    problems: ['Workflow execution interrupted: Node Type: KSampler, Node ID: 2'],
  });
});

test('an idle connection that was lost is replaced by the next ready', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  await comfy.waitUntilReady(never);
  const closed = once([...scripted.sockets][0]!, 'close');
  drop(scripted);
  await closed;
  await comfy.waitUntilReady(never);
  await startPrompt(scripted, comfy).then(({ promptId }) => scripted.end(promptId));
  expect(scripted.clientIds).toHaveLength(2);
});

test('a server that hangs up after every handshake is followed without a websocket', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { pollIntervalMs: 20 });
  scripted.hangUpAfterHandshake = true;
  const { outcome, promptId } = await startPrompt(scripted, comfy);
  for (let i = 0; i < 3; i++) await scripted.nextSocket();
  scripted.record(promptId);
  expect((await outcome).ending).toBe('succeeded');
});

test('a client that is closed gives its prompts up', async () => {
  await using scripted = await ScriptedComfy.start();
  const comfy = openComfy(scripted.url, { pollIntervalMs: 60_000 });
  const { outcome } = await startPrompt(scripted, comfy);
  await comfy[Symbol.asyncDispose]();
  await expect(outcome).rejects.toMatchObject({ code: 'comfy.socket_failed' });
});
