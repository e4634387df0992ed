import { expect, test } from '@jest/globals';
import { systemClock } from '../../clock.ts';
import { ScriptedComfy } from '../scripted-comfy.ts';
import { never, openComfy, silentLog, tinyWorkflow } from '../test-comfy.ts';
import { ComfyHealth } from './health.ts';
import type { ComfySupervisor } from './supervisor/supervisor.ts';

test('a local ComfyUI needs no key and lacks nothing', async () => {
  await using comfy = openComfy('http://127.0.0.1:8188');
  expect(comfy.capabilities).toEqual({
    authentication: 'none',
    pathPrefix: '',
    ownPromptIds: true,
    sharedDisk: true,
    history: true,
    nodeProgress: true,
    previews: true,
    freeMemory: true,
  });
});

test('a ComfyUI behind a proxy is addressed under the path of its URL', async () => {
  await using comfy = openComfy('http://127.0.0.1:8188/comfy/');
  expect(comfy.capabilities.pathPrefix).toBe('/comfy');
});

test.each([
  { who: 'an external ComfyUI', isSupervised: false, losses: 1 },
  {
    who: 'a supervised ComfyUI, whose supervisor knows of no death,',
    isSupervised: true,
    losses: 0,
  },
])('when $who has lost a prompt with the connection, it has died $losses times', async (given) => {
  await using server = await ScriptedComfy.start();
  const health = new ComfyHealth({ clock: systemClock, log: silentLog, downTimeoutMs: 1000 });
  const supervisor = { health, watchSocket: () => undefined } as unknown as ComfySupervisor;
  await using comfy = openComfy(server.url, given.isSupervised ? { supervisor } : {});
  await comfy.waitUntilReady(never);
  const posted = server.next('POST /prompt');
  const running = comfy.runPrompt({ workflow: tinyWorkflow }, { signal: never, log: silentLog });
  const outcome = expect(running).rejects.toMatchObject({ code: 'comfy.prompt_lost' });
  await posted;
  for (const promptId of [...server.running, ...server.pending]) server.remove(promptId);
  for (const socket of server.sockets) socket.terminate();
  await outcome;
  expect(comfy.health.losses).toBe(given.losses);
});
