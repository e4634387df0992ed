import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ManualClock } from '../../clock.ts';
import { ScriptedComfy } from '../scripted-comfy.ts';
import { never, openComfy, silentLog, tinyWorkflow } from '../test-comfy.ts';

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'comfy-readiness-'))));
afterAll(() => rm(folder, { recursive: true }));

async function pidFile(content: string | number): Promise<string> {
  const file = join(folder, `${content}.pid`.replace(/\W/g, '_'));
  await writeFile(file, `${content}\n`);
  return file;
}

async function endedProcess(): Promise<number> {
  const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
  await once(child, 'exit');
  return child.pid!;
}

const unreachable = (port: number) => ({
  code: 'comfy.unreachable',
  message: `ComfyUI server (127.0.0.1:${port}) not reachable after multiple retries.`,
});

test('waitUntilReady opens the websocket, and sends no request while it is alive', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  await Promise.all([comfy.waitUntilReady(never), comfy.waitUntilReady(never)]);
  await comfy.waitUntilReady(never);
  expect(scripted.clientIds).toHaveLength(1);
  expect(scripted.count('GET /')).toBeLessThanOrEqual(2);
});

test('a quiet connection is checked with a ping and replaced when it is dead', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { limits: { trustedSilenceMs: 0, quickPingMs: 50 } });
  await comfy.waitUntilReady(never);
  await comfy.waitUntilReady(never);
  expect(scripted.clientIds).toHaveLength(1);
  scripted.stall();
  await comfy.waitUntilReady(never);
  expect(scripted.clientIds).toHaveLength(2);
});

test('waitUntilReady waits for a ComfyUI that is starting', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, {
    availability: { intervalMs: 1, maxRetries: 0, startupTimeoutMs: 60_000 },
  });
  scripted.script('GET /', () => {
    if (scripted.count('GET /') === 20) scripted.unscript('GET /');
    return { status: 503 };
  });
  await comfy.waitUntilReady(never);
  expect(scripted.count('GET /')).toBe(21);
});

test('without a pid file the number of attempts is that of the settings', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, {
    availability: { intervalMs: 1, maxRetries: 4, startupTimeoutMs: 60_000 },
  });
  scripted.script('GET /', () => ({ status: 503 }));
  await expect(comfy.waitUntilReady(never)).rejects.toMatchObject(unreachable(scripted.port));
  expect(scripted.count('GET /')).toBe(4);
});

test('without a pid file and a setting there are 500 attempts', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, {
    availability: { intervalMs: 0, maxRetries: 0, startupTimeoutMs: 60_000 },
  });
  scripted.script('GET /', () => ({ status: 503 }));
  await expect(comfy.waitUntilReady(never)).rejects.toMatchObject(unreachable(scripted.port));
  expect(scripted.count('GET /')).toBe(500);
});

test('while its process is alive, ComfyUI is waited for until the startup timeout', async () => {
  await using scripted = await ScriptedComfy.start();
  const clock = new ManualClock();
  await using comfy = openComfy(scripted.url, {
    clock,
    pidFile: await pidFile(process.pid),
    availability: { intervalMs: 10_000, maxRetries: 0, startupTimeoutMs: 700_000 },
  });
  scripted.script('GET /', () => {
    clock.advance(10_000);
    return { status: 503 };
  });
  const looking = setInterval(() => clock.advance(10_000), 0);
  await expect(comfy.waitUntilReady(never)).rejects.toMatchObject(unreachable(scripted.port));
  clearInterval(looking);
  expect(clock.now() - Date.UTC(2026, 0, 1)).toBeGreaterThanOrEqual(700_000);
});

test('an ended process fails at once, even if something answers on the port', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { pidFile: await pidFile(await endedProcess()) });
  await expect(comfy.waitUntilReady(never)).rejects.toMatchObject(unreachable(scripted.port));
  expect(scripted.requests).toEqual([]);
});

test('a pid file without a number is ignored', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { pidFile: await pidFile('starting') });
  await comfy.waitUntilReady(never);
});

test('waiting for ComfyUI ends when the job is aborted', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, {
    availability: { intervalMs: 60_000, maxRetries: 0, startupTimeoutMs: 60_000 },
  });
  const job = new AbortController();
  scripted.script('GET /', () => ({ status: 503 }));
  const looked = scripted.next('GET /');
  const waiting = comfy.waitUntilReady(job.signal);
  await looked;
  job.abort(new Error('stopped'));
  await expect(waiting).rejects.toThrow('stopped');
});

test('a refused handshake fails with the text that clients match on', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('GET /ws', () => ({}));
  await expect(comfy.waitUntilReady(never)).rejects.toMatchObject({
    code: 'comfy.socket_failed',
    message: 'WebSocket communication error: Handshake status 404 Not Found',
  });
});

test('a refused websocket connection fails with the text that clients match on', async () => {
  await using comfy = openComfy('http://127.0.0.1:9');
  const running = comfy.runPrompt({ workflow: tinyWorkflow }, { signal: never, log: silentLog });
  await expect(running).rejects.toThrow(
    /^An unexpected error occurred: \[Errno \d+\] Connection refused$/,
  );
});
