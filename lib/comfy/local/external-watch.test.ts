import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { WorkerError } from '../../errors.ts';
import { ScriptedComfy } from '../scripted-comfy.ts';
import { never, openComfy, silentLog, tinyWorkflow } from '../test-comfy.ts';
import type { LocalComfy } from './local-comfy.ts';

/** An external ComfyUI, watched as by a worker on a queue. Looks are frequent. */
function watch(url: string, { unresponsiveMs = 300, probeMs = 1000 } = {}) {
  const limits = { idleLookMs: 20, recoveryLookMs: 20, probeMs };
  return openComfy(url, { downTimeoutMs: 60_000, unresponsiveMs, limits });
}

/** The second look begins when the first one has been answered. */
async function untilAnswered(scripted: ScriptedComfy) {
  await scripted.next('GET /');
  await scripted.next('GET /');
}

async function until(comfy: LocalComfy, status: LocalComfy['health']['status']) {
  while (comfy.health.status !== status) await sleep(5);
}

test('an idle worker notices that ComfyUI is down, and that it is back', async () => {
  const first = await ScriptedComfy.start();
  const { url, port } = first;
  await using comfy = watch(url);
  await untilAnswered(first);
  await first[Symbol.asyncDispose]();
  await until(comfy, 'down');
  expect(comfy.health.losses).toBe(1);
  expect(Math.abs(Date.now() - (comfy.health.downSince ?? 0))).toBeLessThan(60_000);
  await using _second = await ScriptedComfy.start(port);
  await until(comfy, 'up');
});

test('an idle worker notices a ComfyUI that accepts connections and never answers', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = watch(scripted.url);
  await untilAnswered(scripted);
  scripted.script('GET /', () => undefined);
  await until(comfy, 'down');
  expect(comfy.health.lossReason).toMatch(/^it gave no answer for .*COMFY_UNRESPONSIVE_S/);
});

test('a lost websocket is a reason to look at once', async () => {
  const scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, {
    downTimeoutMs: 60_000,
    limits: { idleLookMs: 3_600_000 },
  });
  await comfy.waitUntilReady(never);
  await comfy.checkHealth(new WorkerError('comfy.request_failed', 'something'), never);
  await scripted[Symbol.asyncDispose]();
  await until(comfy, 'down');
});

test('a ComfyUI that has never answered may be starting, and does not count as down', async () => {
  const scripted = await ScriptedComfy.start();
  const { url } = scripted;
  await scripted[Symbol.asyncDispose]();
  await using comfy = watch(url);
  await sleep(200);
  expect(comfy.health.status).toBe('up');
});

test('a ComfyUI that is silent while it runs a prompt does not count as down', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = watch(scripted.url, { unresponsiveMs: 100, probeMs: 300 });
  await comfy.waitUntilReady(never);
  const accepted = scripted.next('POST /prompt');
  const options = { signal: never, log: silentLog };
  const outcome = comfy.runPrompt({ workflow: tinyWorkflow }, options);
  await accepted;
  scripted.script('GET /', () => undefined);
  await sleep(1000);
  expect(comfy.health.status).toBe('up');
  scripted.unscript('GET /');
  scripted.end(scripted.running[0] ?? '');
  expect((await outcome).ending).toBe('succeeded');
});

test('after a timeout the verdict about ComfyUI is waited for, until the job ends', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = watch(scripted.url, { unresponsiveMs: 3000 });
  await untilAnswered(scripted);
  scripted.script('GET /', () => undefined);
  const timeout = new DOMException('no answer', 'TimeoutError');
  const error = new WorkerError('input.upload_failed', 'failed', { cause: timeout });
  const ended = AbortSignal.abort();
  await comfy.checkHealth(error, ended);
  expect(comfy.health.status).toBe('up');
  await comfy.checkHealth(error, never);
  expect(comfy.health.status).toBe('down');
});
