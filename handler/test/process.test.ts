import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { expect, test } from '@jest/globals';
import runpodSdk from 'runpod-sdk';
import { pictures, sampling } from './rigs/test-rig.ts';
import { startProcess, WorkerProcess } from './rigs/worker-process.ts';

/** The worker as a container starts it. */

test('a job that npm runpod-sdk submits is run by the real process, and the SDK gets its images', async () => {
  await using setup = await startProcess();
  setup.startRemote();
  const sdk = runpodSdk(setup.platform.env.RUNPOD_AI_API_KEY ?? '', {
    baseUrl: `${setup.platform.url}/v2`,
  });
  const result = await sdk
    .endpoint(setup.platform.endpointId)
    ?.runSync({ input: { workflow: pictures() } });
  expect(result).toMatchObject({
    completed: true,
    succeeded: true,
    output: { images: [{ filename: 'T_00001_.png', type: 'base64' }] },
  });
});

test('SIGTERM during a job: the job is finished and posted, then the process exits with 0', async () => {
  await using setup = await startProcess();
  const worker = setup.startRemote();
  const jobId = setup.platform.submit({ workflow: sampling({ steps: 10, stepMs: 30 }) });
  await setup.comfy.waitFor({ type: 'progress' });
  worker.child.kill('SIGTERM');
  const { bodyText } = await setup.platform.result(jobId);
  expect(bodyText).toContain('S_00001_.png');
  expect(await worker.ended).toBe(0);
});

test('SIGTERM while idle: the process exits with 0', async () => {
  await using setup = await startProcess();
  const worker = setup.startRemote();
  await setup.platform.nextTake();
  worker.child.kill('SIGTERM');
  expect(await worker.ended).toBe(0);
});

test('a second SIGTERM ends the process at once, even during a job', async () => {
  await using setup = await startProcess();
  const worker = setup.startRemote();
  setup.platform.submit({ workflow: sampling({ steps: 1000, stepMs: 30 }) });
  await setup.comfy.waitFor({ type: 'progress' });
  worker.child.kill('SIGTERM');
  while (!worker.output.includes('no more jobs are taken'))
    await once(worker.child.stdout!, 'data');
  worker.child.kill('SIGTERM');
  expect(await worker.ended).toBe(143);
});

test('a result that was not posted when the process was killed is posted by the next process', async () => {
  await using setup = await startProcess();
  const worker = setup.startRemote();
  setup.platform.faults.next('job-done', { status: 503 }, 1000);
  const jobId = setup.platform.submit({ workflow: pictures() });
  await setup.platform.nextPost();
  while ((await readdir(setup.spoolDir).catch(() => [])).length === 0)
    await setup.platform.nextPost();
  await worker.end();
  setup.platform.faults.clear();
  setup.startRemote();
  expect((await setup.platform.result(jobId)).bodyText).toContain('T_00001_.png');
});

test('REFRESH_WORKER: the result asks for a fresh worker, then the process exits with 0', async () => {
  await using setup = await startProcess([], { REFRESH_WORKER: 'true' });
  const worker = setup.startRemote();
  const jobId = setup.platform.submit({ workflow: pictures() });
  expect(JSON.parse((await setup.platform.result(jobId)).bodyText)).toMatchObject({
    stopPod: true,
  });
  expect(await worker.ended).toBe(0);
});

test('on the platform every log line is JSON with requestId, level and message', async () => {
  await using setup = await startProcess();
  const worker = setup.startRemote();
  await setup.platform.result(setup.platform.submit({ workflow: pictures() }));
  worker.child.kill('SIGTERM');
  await worker.ended;
  const lines = worker.output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  for (const line of lines)
    expect(Object.keys(line)).toEqual(expect.arrayContaining(['requestId', 'level', 'message']));
});

test('--test_input runs one job and exits with 0, or with 1 when the job fails', async () => {
  for (const [input, code] of [
    [{ workflow: pictures() }, 0],
    [{ workflow: {} }, 1],
  ] as const) {
    await using setup = await startProcess(['--test_input', JSON.stringify({ input })]);
    const worker = setup.start();
    expect(await worker.ended).toBe(code);
    expect(worker.output).toContain('local_test');
  }
});

test('without a platform and without a job the local API is served, and its URL is logged', async () => {
  await using setup = await startProcess([], {
    API_PORT: '0',
    WORKFLOWS_DIR: resolve('test_resources/workflows'),
  });
  const worker = setup.start();
  while (!worker.output.includes('The local API is ready'))
    await once(worker.child.stdout!, 'data');
  const url = /http:\/\/127\.0\.0\.1:\d+/.exec(worker.output)?.[0] ?? '';
  const answer = await fetch(`${url}/runsync`, {
    method: 'POST',
    body: JSON.stringify({ input: { workflow: pictures() } }),
  });
  expect(await answer.json()).toMatchObject({
    status: 'COMPLETED',
    output: { images: [{ filename: 'T_00001_.png' }] },
  });
  const { workflows } = (await (await fetch(`${url}/workflows`)).json()) as {
    workflows: { name: string }[];
  };
  expect(workflows.map(({ name }) => name)).toContain('sdxl');
  worker.child.kill('SIGTERM');
  expect(await worker.ended).toBe(0);
});

test('--simulate is refused when a platform offers jobs', async () => {
  await using setup = await startProcess(['--simulate', '--rp_serve_api']);
  const worker = setup.startRemote();
  expect(await worker.ended).toBe(1);
  expect(worker.output).toContain('--simulate is refused');
});

test('a ComfyUI that died before the first job: the platform is told, no job is taken, the process exits with 1', async () => {
  await using setup = await startProcess();
  const pidFile = join(setup.folder, 'comfyui.pid');
  await writeFile(pidFile, '999999999');
  const told = setup.platform.nextPing();
  const worker = setup.start({ ...setup.platform.env, COMFY_PID_FILE: pidFile });
  expect((await told).query).toMatchObject({ status: 'unhealthy', check: 'comfyui' });
  expect(await worker.ended).toBe(1);
  expect(setup.platform.takes).toHaveLength(0);
});

test('settings that do not parse stop the start and are all named', async () => {
  await using setup = await startProcess([], {
    JOB_CONCURRENCY: 'many',
    WEBSOCKET_RECONNECT_DELAY_S: '2.5',
  });
  const worker = setup.startRemote();
  expect(await worker.ended).toBe(1);
  expect(worker.output).toMatch(
    /JOB_CONCURRENCY.*"many"[\s\S]*WEBSOCKET_RECONNECT_DELAY_S.*"2\.5"/,
  );
  expect(setup.platform.takes).toHaveLength(0);
});

test('an S3 endpoint without keys stops the start and names the missing variables', async () => {
  await using setup = await startProcess([], { BUCKET_ENDPOINT_URL: 'https://s3.example.org' });
  const worker = setup.startRemote();
  expect(await worker.ended).toBe(1);
  expect(worker.output).toContain('BUCKET_ACCESS_KEY_ID');
  expect(worker.output).toContain('BUCKET_SECRET_ACCESS_KEY');
});

test('an old Node is told which version is needed, in one line, before anything else is loaded', async () => {
  const pretend = `Object.defineProperty(process, 'versions', { value: { node: '20.19.0' } })`;
  const child = spawn(
    process.execPath,
    ['--import', `data:text/javascript,${pretend}`, resolve('handler/index.ts')],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const worker = new WorkerProcess(child);
  expect(await worker.ended).toBe(1);
  expect(worker.output).toBe(
    `comfyui-worker needs Node 24 or newer; this is Node 20.19.0 (${process.execPath})\n`,
  );
});
