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

test('a prompt that ended while the socket was down is returned', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  const { outcome, promptId } = await startPrompt(scripted, comfy);
  scripted.record(promptId, { outputs: { 9: {} } });
  drop(scripted);
  expect((await outcome).outputs?.text).toBe('{"9":{}}');
  expect(scripted.clientIds).toHaveLength(1);
});

test('an error that happened while the socket was down is reported', async () => {
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

test('after a reconnect with a new client id, a queue change makes the worker look at the prompt', async () => {
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

test('a prompt ends although its connection is lost again and again', async () => {
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

test('a prompt ends although events stop on an open connection', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { pollIntervalMs: 10 });
  const { outcome, promptId } = await startPrompt(scripted, comfy);
  await scripted.next('GET /queue');
  scripted.record(promptId);
  expect((await outcome).ending).toBe('succeeded');
});

test('a half-open connection is noticed by unanswered pings', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { pingIntervalMs: 20, pollIntervalMs: 60_000 });
  const { outcome, promptId } = await startPrompt(scripted, comfy);
  scripted.stall();
  await scripted.nextSocket();
  scripted.end(promptId);
  expect((await outcome).ending).toBe('succeeded');
});

test('two prompts share the new connection after a loss', async () => {
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

test('reconnecting stops at once when ComfyUI does not answer, with the text that clients match on', async () => {
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

test('when every reconnect is refused, the prompt is cancelled and fails with the text that clients match on', async () => {
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
  // One for each attempt, and one to find out whether ComfyUI is down.
  expect(scripted.count('GET /')).toBe(3);
  expect(scripted.running).toEqual([]);
});

test('with zero reconnect attempts a loss is final and names its reason', async () => {
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

test('a prompt in neither queue nor history is lost', async () => {
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

test('a running prompt without events for too long is interrupted', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { pollIntervalMs: 10, silenceTimeoutMs: 40 });
  const { outcome, promptId } = await startPrompt(scripted, comfy);
  const interrupted = scripted.next('POST /interrupt');
  await interrupted;
  scripted.record(promptId);
  await expect(outcome).rejects.toMatchObject({ code: 'comfy.silent' });
});

test('a waiting prompt may be silent for any time', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { pollIntervalMs: 5, silenceTimeoutMs: 20 });
  const { outcome, promptId } = await startPrompt(scripted, comfy);
  scripted.pending.push(...scripted.running.splice(0));
  for (let i = 0; i < 10; i++) await scripted.next('GET /queue');
  scripted.end(promptId);
  expect((await outcome).ending).toBe('succeeded');
});

test('a prompt survives failing requests to the queue', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { pollIntervalMs: 5 });
  scripted.script('GET /queue', () => ({ status: 500 }));
  const { outcome, promptId } = await startPrompt(scripted, comfy);
  await scripted.next('GET /queue');
  await scripted.next('GET /queue');
  scripted.end(promptId);
  expect((await outcome).ending).toBe('succeeded');
});

test('aborting a job interrupts its prompt by id before the job rejects', async () => {
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

test('aborting a job whose prompt waits removes it from the queue and interrupts nothing', async () => {
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

test('a job aborted while its prompt is being posted leaves no prompt behind', async () => {
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

test('a prompt that cannot be interrupted is given up after a time limit', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { limits: { cancelMs: 30 } });
  const job = new AbortController();
  const { outcome } = await startPrompt(scripted, comfy, job.signal);
  job.abort(new WorkerError('job.stopped', 'stopped'));
  await expect(outcome).rejects.toThrow('stopped');
});

test('an interrupt from outside is an outcome of its own', async () => {
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

test('waitUntilReady replaces a connection that was lost while idle', async () => {
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

test('a prompt ends although the server closes every websocket after the handshake', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { pollIntervalMs: 20 });
  scripted.hangUpAfterHandshake = true;
  const { outcome, promptId } = await startPrompt(scripted, comfy);
  for (let i = 0; i < 3; i++) await scripted.nextSocket();
  scripted.record(promptId);
  expect((await outcome).ending).toBe('succeeded');
});

test('disposing the client rejects its prompts', async () => {
  await using scripted = await ScriptedComfy.start();
  const comfy = openComfy(scripted.url, { pollIntervalMs: 60_000 });
  const { outcome } = await startPrompt(scripted, comfy);
  await comfy[Symbol.asyncDispose]();
  await expect(outcome).rejects.toMatchObject({ code: 'comfy.socket_failed' });
});
