import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { expect, jest, test } from '@jest/globals';
import { JsonText } from '../../../json.ts';
import { never, silentLog } from '../../test-comfy.ts';
import { LocalComfy } from '../local-comfy.ts';
import { markOf } from './stray.ts';
import { isRunning, startComfyPlace, startSupervisor } from './test-supervisor.ts';

jest.setTimeout(60_000);

const oneNode = (classType: string, inputs: Record<string, unknown>) =>
  JsonText.of({
    '1': {
      class_type: 'EmptyImage',
      inputs: { width: 8, height: 8, batch_size: 1, color: 1 },
    },
    '2': { class_type: classType, inputs: { image: ['1', 0], ...inputs } },
    '3': { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'x' } },
  });

test('ComfyUI is started, its start is logged in one line, and it is ended with the supervisor', async () => {
  await using place = await startComfyPlace();
  const rig = await startSupervisor(place);
  await rig.until('up');
  const [pid = 0] = place.starts();
  expect(isRunning(pid)).toBe(true);
  expect(Number(await readFile(place.environment.COMFY_PID_FILE, 'utf8'))).toBe(pid);
  const coldStart = rig.lines.find(({ message }) => message.startsWith('cold start:'));
  expect(coldStart?.message).toMatch(
    /^cold start: python [\d.]+ s, nodes [\d.]+ s, (server [\d.]+ s, )?port open after [\d.]+ s, ready after [\d.]+ s$/,
  );
  expect(rig.lines).toContainEqual(
    expect.objectContaining({ level: 'DEBUG', message: 'Python version: 3.12.3' }),
  );
  await rig[Symbol.asyncDispose]();
  expect(isRunning(pid)).toBe(false);
  expect(existsSync(place.environment.COMFY_PID_FILE)).toBe(false);
});

test.each([
  ['is killed', 'SIGKILL'],
  ['exits', 'SIGTERM'],
] as const)('a ComfyUI that %s is started again', async (_, signal) => {
  await using place = await startComfyPlace();
  await using rig = await startSupervisor(place);
  await rig.until('up');
  const [first = 0] = place.starts();
  process.kill(first, signal);
  await rig.until('down');
  await rig.until('up');
  expect(place.starts()).toHaveLength(2);
  expect(rig.supervisor.health.losses).toBe(1);
  expect(rig.lines.find(({ message }) => message === 'ComfyUI is down')?.reason).toBe(
    `its process ended (signal ${signal})`,
  );
});

test('a ComfyUI that exits with 0 at each start rests after COMFY_MAX_RESTARTS, and is not waited for', async () => {
  await using place = await startComfyPlace();
  await place.write('exit.txt', '0');
  await using rig = await startSupervisor(place, {
    COMFY_MAX_RESTARTS: '1',
    COMFY_DOWN_TIMEOUT_S: '1',
  });
  expect(await rig.supervisor.health.untilUp(never)).toBe(false);
  expect(place.starts().length).toBeLessThanOrEqual(2);
  expect(rig.lines.find(({ message }) => message === 'ComfyUI is down')?.reason).toBe(
    'its process ended (exit code 0)',
  );
});

test('a ComfyUI whose port another program has taken since is not called up', async () => {
  await using place = await startComfyPlace();
  await using rig = await startSupervisor(place);
  await rig.until('up');
  const { hostname, port } = new URL(rig.comfy.url);
  const [pid = 0] = place.starts();
  const other = createServer();
  // It gets the port as soon as ComfyUI has lost it.
  const takePort = () => other.listen(Number(port), hostname);
  other.on('error', () => setTimeout(takePort, 1));
  takePort();
  process.kill(pid, 'SIGKILL');
  await new Promise((resolve) => other.once('listening', resolve));
  await rig.until('down');
  const isHeld = () =>
    rig.lines.some(({ reason }) => String(reason).startsWith('another program holds the port'));
  while (!isHeld()) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(place.starts()).toHaveLength(1);
  other.close();
  await rig.until('up');
  expect(place.starts()).toHaveLength(2);
});

test('a command that does not exist is reported, not thrown', async () => {
  await using place = await startComfyPlace();
  await using rig = await startSupervisor(place, { COMFY_COMMAND: '/no/such/python main.py' });
  await rig.until('down');
  expect(rig.lines.find(({ message }) => message === 'ComfyUI is down')?.reason).toMatch(
    /could not be started: spawn .* ENOENT/,
  );
});

test('the death of the executor ends a prompt at once, and ComfyUI is started again', async () => {
  await using place = await startComfyPlace();
  await using rig = await startSupervisor(place);
  await using comfy = new LocalComfy(rig.comfy, { log: silentLog, supervisor: rig.supervisor });
  await comfy.waitUntilReady(never);
  const workflow = oneNode('ProbeExecutor', { marker: `${place.folder}/marker` });
  await expect(
    comfy.runPrompt({ workflow }, { signal: never, log: silentLog }),
  ).rejects.toMatchObject({ code: 'comfy.prompt_lost', message: /^ComfyUI died/ });
  await comfy.waitUntilReady(never);
  const outcome = await comfy.runPrompt({ workflow }, { signal: never, log: silentLog });
  expect(outcome.ending).toBe('succeeded');
});

test('a node that holds the whole process for longer than COMFY_UNRESPONSIVE_S survives', async () => {
  await using place = await startComfyPlace();
  await using rig = await startSupervisor(place, { COMFY_UNRESPONSIVE_S: '1' });
  await using comfy = new LocalComfy(rig.comfy, { log: silentLog, supervisor: rig.supervisor });
  await comfy.waitUntilReady(never);
  const workflow = oneNode('ProbeSpin', { ms: 4000 });
  const outcome = await comfy.runPrompt({ workflow }, { signal: never, log: silentLog });
  expect(outcome.ending).toBe('succeeded');
  expect(place.starts()).toHaveLength(1);
});

test('a prompt that shows no sign of life is looked up, and then ComfyUI is restarted, although it answers', async () => {
  await using place = await startComfyPlace();
  await using rig = await startSupervisor(place, {
    COMFY_UNRESPONSIVE_S: '2',
    COMFY_POLL_INTERVAL_S: '1',
  });
  await using comfy = new LocalComfy(rig.comfy, { log: silentLog, supervisor: rig.supervisor });
  await comfy.waitUntilReady(never);
  const workflow = oneNode('ProbeSleep', { ms: 600_000 });
  await expect(
    comfy.runPrompt({ workflow }, { signal: never, log: silentLog }),
  ).rejects.toMatchObject({ code: 'comfy.prompt_lost' });
  expect(rig.lines.find(({ message }) => message === 'ComfyUI is down')?.reason).toMatch(
    /no sign of life/,
  );
});

test('a ComfyUI that is frozen is restarted after COMFY_UNRESPONSIVE_S', async () => {
  await using place = await startComfyPlace();
  await using rig = await startSupervisor(place, { COMFY_UNRESPONSIVE_S: '1' });
  await rig.until('up');
  const [pid = 0] = place.starts();
  process.kill(pid, 'SIGSTOP');
  await rig.until('down');
  await rig.until('up');
  expect(isRunning(pid)).toBe(false);
  expect(rig.lines.find(({ message }) => message === 'ComfyUI is down')?.reason).toMatch(
    /no sign of life/,
  );
});

test('a port that another program holds is an error at start', async () => {
  await using place = await startComfyPlace();
  const server = createServer().listen(place.port, '127.0.0.1');
  await once(server, 'listening');
  await expect(startSupervisor(place)).rejects.toMatchObject({
    code: 'worker.unfit',
    message: expect.stringContaining('another program holds the port'),
  });
  expect(place.starts()).toEqual([]);
  await new Promise((closed) => server.close(closed));
});

/** A process that leads its group, with this mark. */
async function startMarked(mark: string, pidFile: string) {
  const child = spawn('sleep', ['1000'], {
    detached: true,
    stdio: 'ignore',
    env: { PATH: process.env.PATH, COMFYUI_WORKER_CHILD: mark },
  });
  await once(child, 'spawn');
  await writeFile(pidFile, `${child.pid}\n`);
  return { child, ended: once(child, 'exit') };
}

test('a ComfyUI that a killed worker left behind is ended at the next start', async () => {
  await using place = await startComfyPlace();
  const { COMFY_PID_FILE: pidFile } = place.environment;
  const { ended } = await startMarked(`999999999:1:${pidFile}`, pidFile);
  await using rig = await startSupervisor(place);
  expect(await ended).toEqual([null, 'SIGKILL']);
  await rig.until('up');
});

test.each([
  ['has no mark', () => ''],
  ['has the mark of another pid file', () => '999999999:1:/tmp/other.pid'],
])('a process in the pid file that %s is left alone', async (_, mark) => {
  await using place = await startComfyPlace();
  const { child, ended } = await startMarked(mark(), place.environment.COMFY_PID_FILE);
  await using rig = await startSupervisor(place);
  await rig.until('up');
  expect(isRunning(child.pid!)).toBe(true);
  child.kill('SIGKILL');
  await ended;
});

test('the ComfyUI of another worker that runs is an error at start', async () => {
  await using place = await startComfyPlace();
  const { COMFY_PID_FILE: pidFile } = place.environment;
  const { child, ended } = await startMarked(await markOf(pidFile), pidFile);
  await expect(startSupervisor(place)).rejects.toMatchObject({ code: 'worker.unfit' });
  child.kill('SIGKILL');
  await ended;
});
