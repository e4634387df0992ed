import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { systemClock } from '../../../clock.ts';
import { silentLog } from '../../test-comfy.ts';
import { endStray, MARK, markOf, removePidFile } from './stray.ts';
import { isRunning } from './test-supervisor.ts';

/** Holds a port, starts a child in its group, prints both, and ignores SIGTERM. */
const LISTENING_PROGRAM = `
  process.on('SIGTERM', () => undefined);
  const child = require('node:child_process').spawn('sleep', ['1000'], { stdio: 'ignore' });
  const server = require('node:net').createServer().listen(0, '127.0.0.1', () =>
    console.log(JSON.stringify({ port: server.address().port, childPid: child.pid })));
`;

const DEAD_WORKER = '999999999:1';

async function newPidFile() {
  const folder = await mkdtemp(join(tmpdir(), 'stray-'));
  return {
    path: join(folder, 'comfy.pid'),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** A process that leads a group and holds a port, as the ComfyUI of the worker in `mark`. */
async function startStray(pidFile: string, mark: string) {
  const leader = spawn(process.execPath, ['-e', LISTENING_PROGRAM], {
    detached: true,
    env: { PATH: process.env.PATH, [MARK]: mark },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(leader, 'exit');
  const [line] = (await once(leader.stdout.setEncoding('utf8'), 'data')) as [string];
  const { port, childPid } = JSON.parse(line) as { port: number; childPid: number };
  const pid = leader.pid ?? 0;
  await writeFile(pidFile, `${pid}\n`);
  return {
    pid,
    port,
    childPid,
    ended,
    [Symbol.asyncDispose]: async () => {
      if (isRunning(pid)) process.kill(-pid, 'SIGKILL');
      await ended;
    },
  };
}

async function listenOn(port: number): Promise<void> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  await new Promise((closed) => server.close(closed));
}

const end = (pidFile: string) => endStray(pidFile, { clock: systemClock, log: silentLog });

test('the port of a ComfyUI that a killed worker left behind is free when it has been ended', async () => {
  await using pidFile = await newPidFile();
  await using stray = await startStray(pidFile.path, `${DEAD_WORKER}:${pidFile.path}`);
  await expect(listenOn(stray.port)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  await end(pidFile.path);
  await listenOn(stray.port);
  expect(await stray.ended).toEqual([null, 'SIGKILL']);
});

test('the children of a ComfyUI that was left behind are ended with it', async () => {
  await using pidFile = await newPidFile();
  await using stray = await startStray(pidFile.path, `${DEAD_WORKER}:${pidFile.path}`);
  expect(isRunning(stray.childPid)).toBe(true);
  await end(pidFile.path);
  // Its new parent, the init process, may take a moment to reap it, or never does in a container without one.
  while ((await stateOf(stray.childPid)) === 'alive')
    await new Promise((resolve) => setTimeout(resolve, 10));
});

async function stateOf(pid: number): Promise<'alive' | 'ended'> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return text === '' || /\) [ZX] /.test(text) ? 'ended' : 'alive';
}

test('the ComfyUI of a worker that runs is not ended, and the error names both processes', async () => {
  await using pidFile = await newPidFile();
  await using stray = await startStray(pidFile.path, await markOf(pidFile.path));
  await expect(end(pidFile.path)).rejects.toMatchObject({
    code: 'worker.unfit',
    message: expect.stringContaining(`(process ${stray.pid}) belongs to another worker`),
  });
  await expect(listenOn(stray.port)).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

test('a worker that got the process id of the killed one does not count as the one that runs', async () => {
  await using pidFile = await newPidFile();
  await using stray = await startStray(pidFile.path, `${process.pid}:1:${pidFile.path}`);
  await end(pidFile.path);
  expect(await stray.ended).toEqual([null, 'SIGKILL']);
});

test.each(['', 'garbage', '-1', '0', '999999999'])(
  'a pid file with %j is no reason to end anything',
  async (text) => {
    await using pidFile = await newPidFile();
    await writeFile(pidFile.path, text);
    await end(pidFile.path);
    await end(`${pidFile.path}.missing`);
  },
);

test('a pid file that names another process by now is not removed', async () => {
  await using pidFile = await newPidFile();
  await writeFile(pidFile.path, '17\n');
  await removePidFile(pidFile.path, 18);
  expect(existsSync(pidFile.path)).toBe(true);
  await removePidFile(pidFile.path, 17);
  expect(existsSync(pidFile.path)).toBe(false);
});
