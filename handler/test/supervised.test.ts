import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, jest, test } from '@jest/globals';
import sharp from 'sharp';
import { isRunning, startComfyPlace } from '../../lib/comfy/local/supervisor/test-supervisor.ts';
import { startComfySimulator } from '../../lib/simulator/comfy/simulator.ts';
import { GIVES_UP, startSupervised, through } from './rigs/supervised-rig.ts';
import { loading, pictures, sampling, type Posted } from './rigs/test-rig.ts';

/** The worker as a container starts it, with a ComfyUI that it owns. All three are real processes. */

jest.setTimeout(90_000);

test('a worker starts its ComfyUI, runs a job, and after SIGTERM nothing is left', async () => {
  await using rig = await startSupervised();
  const { output } = await rig.posted(rig.platform.submit({ workflow: pictures() }));
  expect(output?.images).toHaveLength(1);
  const [pid = 0] = rig.place.starts();
  rig.child.kill('SIGTERM');
  expect(await rig.ended).toBe(0);
  expect(isRunning(pid)).toBe(false);
});

test('SIGTERM during a long job: it is interrupted within SHUTDOWN_GRACE_S, and ComfyUI is ended', async () => {
  await using rig = await startSupervised({ SHUTDOWN_GRACE_S: '4' });
  rig.platform.submit({ workflow: sampling({ steps: 10_000, stepMs: 30 }) });
  await rig.logged('Inputs staged');
  const [pid = 0] = rig.place.starts();
  rig.child.kill('SIGTERM');
  expect(await rig.ended).toBe(0);
  expect(isRunning(pid)).toBe(false);
  expect(rig.log()).toContain('are interrupted without a result');
});

test('a second SIGTERM ends the worker and its ComfyUI at once', async () => {
  await using rig = await startSupervised();
  rig.platform.submit({ workflow: sampling({ steps: 10_000, stepMs: 30 }) });
  await rig.logged('Inputs staged');
  rig.child.kill('SIGTERM');
  await rig.logged('no more jobs are taken');
  rig.child.kill('SIGTERM');
  expect(await rig.ended).toBe(143);
  const [pid = 0] = rig.place.starts();
  while (isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 10));
});

test('a job that needs a class of a node pack that failed to load is told why', async () => {
  await using rig = await startSupervised();
  const pack = join(rig.place.folder, 'faces');
  await mkdir(pack);
  await rig.place.write('faces/nodes.py', 'NODE_CLASS_MAPPINGS = {"FaceSwap": FaceSwap}');
  const [first = 0] = await untilStarted(rig);
  await rig.place.write(
    'boot.txt',
    `Traceback (most recent call last):
  File "${pack}/nodes.py", line 1, in <module>
ModuleNotFoundError: No module named 'insightface'

Cannot import ${pack} module for custom nodes: No module named 'insightface'
Import times for custom nodes:`,
  );
  process.kill(first, 'SIGKILL');
  await rig.logged('ComfyUI is restarted');
  const { error, output } = await rig.posted(
    rig.platform.submit({ workflow: through('FaceSwap', {}) }),
  );
  expect(error).toContain('node FaceSwap does not exist');
  expect(error).toContain(
    "FaceSwap belongs to a node pack that failed to load:\n• faces: ModuleNotFoundError: No module named 'insightface'",
  );
  expect(output?.details?.join('\n')).toContain('File "nodes.py", line 1, in <module>');
});

test.each([
  ['is killed', 'ProbeKill'],
  ['loses its executor', 'ProbeExecutor'],
])('a job whose ComfyUI %s is run once more, and says so', async (_, classType) => {
  await using rig = await startSupervised();
  const marker = join(rig.place.folder, 'marker');
  const workflow = through(classType, { marker });
  const { output, error } = await rig.posted(rig.platform.submit({ workflow }));
  expect(error).toBeUndefined();
  expect(output).toMatchObject({ attempts: 2, images: [{ filename: 'T_00001_.png' }] });
  expect(rig.count('ComfyUI died; the job is run again')).toBe(1);
  expect(rig.count('Job failed')).toBe(0);
});

test('a job that kills ComfyUI twice fails, and the next job runs', async () => {
  await using rig = await startSupervised();
  const killer = rig.platform.submit({ workflow: through('ProbeKill', { marker: '' }) });
  const next = rig.platform.submit({ workflow: pictures() });
  const { output, error } = await rig.posted(killer);
  expect(error).toMatch(/^ComfyUI died while it ran the prompt/);
  expect(output?.attempts).toBe(2);
  expect(output?.details).toEqual([
    expect.stringMatching(/^Attempt 1: ComfyUI died .*signal SIGKILL/),
    expect.stringMatching(/^Attempt 2: ComfyUI died .*signal SIGKILL/),
  ]);
  expect((await rig.posted(next)).output?.images).toHaveLength(1);
  expect(rig.place.starts()).toHaveLength(3);
  expect(rig.count('ComfyUI died; the job is run again')).toBe(1);
  expect(rig.count('Job failed')).toBe(1);
});

test('a job that killed ComfyUI twice is refused when it is delivered again, another one is not', async () => {
  await using rig = await startSupervised();
  const workflow = through('ProbeKill', { marker: '' });
  await rig.posted(rig.platform.submit({ workflow }));
  const { error, output } = await rig.posted(rig.platform.submit({ workflow }));
  expect(error).toMatch(/^This job killed ComfyUI .*doctor --forget-deadly-jobs/);
  expect(output).toBeUndefined();
  const marker = join(rig.place.folder, 'marker');
  await rig.place.write('marker', '');
  const other = rig.platform.submit({ workflow: through('ProbeKill', { marker }) });
  expect((await rig.posted(other)).output?.images).toHaveLength(1);
  expect(rig.place.starts()).toHaveLength(3);
});

test('the local API tells the time of day of a death, and notes a deadly job where `doctor` looks', async () => {
  const startedAt = Date.now();
  await using rig = await startSupervised({ RUNPOD_WEBHOOK_GET_JOB: '', API_PORT: '0' });
  await rig.logged('ComfyUI is up');
  await rig.logged('The local API is ready');
  const url = /http:[^" ]*(?=\/docs)/.exec(rig.log())?.[0];
  const body = JSON.stringify({ input: { workflow: through('ProbeKill', { marker: '' }) } });
  const answer = await fetch(`${url}/runsync?wait=60000`, { method: 'POST', body });
  expect(((await answer.json()) as Posted).error).toMatch(/^ComfyUI died while it ran the prompt/);
  const ready = (await (await fetch(`${url}/ready`)).json()) as { downSince: string };
  const file = await readFile(join(rig.place.folder, 'spool', 'deadly-jobs.json'), 'utf8');
  const { jobs } = JSON.parse(file) as { jobs: { killedAt: number }[] };
  for (const time of [Date.parse(ready.downSince), jobs[0]?.killedAt]) {
    expect(time).toBeGreaterThanOrEqual(startedAt);
    expect(time).toBeLessThanOrEqual(Date.now());
  }
});

test('a prompt that waited behind the one that killed ComfyUI is run again, without counting', async () => {
  await using rig = await startSupervised({ JOB_PREFETCH: '1' });
  const marker = join(rig.place.folder, 'marker');
  const sleeper = { class_type: 'ProbeSleep', inputs: { image: ['1', 0], ms: 1500 } };
  const killer = {
    ...through('ProbeKill', { marker, image: ['4', 0] }),
    '4': sleeper,
  };
  const first = rig.platform.submit({ workflow: killer });
  const second = rig.platform.submit({ workflow: pictures({ color: 7 }) });
  expect((await rig.posted(first)).output).toMatchObject({ attempts: 2 });
  const { output } = await rig.posted(second);
  expect(output?.images).toHaveLength(1);
  expect(output?.attempts).toBeUndefined();
});

test('a job survives a node that holds up the whole of ComfyUI for longer than all timeouts', async () => {
  const seconds = {
    COMFY_UNRESPONSIVE_S: '1',
    COMFY_PING_INTERVAL_S: '1',
    COMFY_POLL_INTERVAL_S: '1',
  };
  await using rig = await startSupervised(seconds);
  const workflow = through('ProbeSpin', { ms: 9000 });
  const { output, error } = await rig.posted(rig.platform.submit({ workflow }));
  expect(error).toBeUndefined();
  expect(output?.images).toHaveLength(1);
  expect(output?.attempts).toBeUndefined();
  expect(rig.place.starts()).toHaveLength(1);
});

test('a job is run again when the port of ComfyUI refuses although its process lives', async () => {
  await using rig = await startSupervised();
  const jobId = rig.platform.submit({ workflow: through('ProbeSleep', { ms: 2000 }) });
  await rig.logged('Inputs staged');
  const [pid = 0] = rig.place.starts();
  process.kill(pid, 'SIGUSR2');
  const { output, error } = await rig.posted(jobId);
  expect(error).toBeUndefined();
  expect(output).toMatchObject({ attempts: 2, images: [{ type: 'base64' }] });
  expect(isRunning(pid)).toBe(false);
});

test('the report on a failed job quotes the output of a ComfyUI of its own', async () => {
  await using rig = await startSupervised();
  const { output } = await rig.posted(
    rig.platform.submit({ workflow: through('ProbeFail', { message: 'no such tensor' }) }),
  );
  expect(output).toMatchObject({
    failure: {
      code: 'comfy.execution_failed',
      node: '3',
      log_tail: expect.arrayContaining(['!!! Exception during processing !!! no such tensor']),
    },
  });
});

test('the error of a node is not a reason to run the job again', async () => {
  await using rig = await startSupervised();
  const { output, error } = await rig.posted(
    rig.platform.submit({ workflow: through('ProbeFail', { message: 'the mask is empty' }) }),
  );
  expect(error).toBe('Job processing failed');
  expect(output?.details?.join('\n')).toContain('the mask is empty');
  expect(output?.attempts).toBeUndefined();
  expect(rig.place.starts()).toHaveLength(1);
});

test('a ComfyUI that never starts: no job is taken, the platform is told, and the exit code is 1', async () => {
  await using place = await startComfyPlace();
  await place.write('exit.txt', '1');
  const { COMFY_ARGS } = place.environment;
  await using rig = await startSupervised({ COMFY_ARGS, ...GIVES_UP });
  rig.platform.submit({ workflow: pictures() });
  expect(await rig.ended).toBe(1);
  expect(rig.platform.takes).toEqual([]);
  expect(rig.platform.pings.some(({ query }) => query.status === 'unhealthy')).toBe(true);
});

test('an external ComfyUI that dies while the worker is idle costs no job', async () => {
  const comfy = await startComfySimulator();
  await using rig = await startSupervised({
    ...{ COMFY_COMMAND: '', COMFY_ARGS: '', COMFY_URL: comfy.url },
  });
  const { output } = await rig.posted(rig.platform.submit({ workflow: pictures() }));
  expect(output?.images).toHaveLength(1);
  await comfy[Symbol.asyncDispose]();
  await rig.logged('ComfyUI is down');
  const jobIds = Array.from({ length: 5 }, () => rig.platform.submit({ workflow: pictures() }));
  await using _again = await startComfySimulator({ port: Number(new URL(comfy.url).port) });
  for (const jobId of jobIds) {
    const posted = await rig.posted(jobId);
    expect(posted.output?.images).toHaveLength(1);
    expect(posted.output?.attempts).toBeUndefined();
  }
});

test('a job whose upload times out on a frozen ComfyUI waits for the next ComfyUI and runs', async () => {
  let comfyPid = 0;
  let downloads = 0;
  // ComfyUI freezes when the job has found it ready, and before the upload.
  await using images = await startImageServer(() => {
    if (++downloads === 1) process.kill(comfyPid, 'SIGSTOP');
  });
  await using rig = await startSupervised({
    COMFY_UNRESPONSIVE_S: '4',
    COMFY_REQUEST_TIMEOUT_S: '1',
    DOWNLOAD_ALLOW_PRIVATE: new URL(images.url).host,
  });
  [comfyPid = 0] = await untilStarted(rig);
  const input = { workflow: loading('a.png'), images: [{ name: 'a.png', url: images.url }] };
  const { output, error } = await rig.posted(rig.platform.submit(input));
  expect(error).toBeUndefined();
  expect(output?.images).toHaveLength(1);
  expect(output?.attempts).toBeUndefined();
  expect(rig.count('ComfyUI died; the job is run again')).toBe(1);
  expect(rig.count('Job failed')).toBe(0);
});

async function startImageServer(onRequest: () => void) {
  const image = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
  const server = createServer((_, response) => {
    onRequest();
    response.end(image);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/a.png`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

test('an external ComfyUI that is down costs one job, not the queue', async () => {
  await using rig = await startSupervised({ COMFY_COMMAND: '', COMFY_ARGS: '', ...GIVES_UP });
  const jobIds = Array.from({ length: 20 }, () => rig.platform.submit({ workflow: pictures() }));
  expect(await rig.ended).toBe(1);
  const bodies = rig.platform.posts.map(({ bodyText }) => bodyText);
  expect(bodies).toHaveLength(1);
  expect(JSON.parse(bodies[0] ?? '')).toMatchObject({
    error: expect.stringContaining('not reachable after multiple retries'),
    stopPod: true,
  });
  expect(jobIds).toHaveLength(20);
});

async function untilStarted(rig: Awaited<ReturnType<typeof startSupervised>>) {
  await rig.logged('cold start');
  return rig.place.starts();
}
