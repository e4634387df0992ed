import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { PROBE_NODES } from '../simulator/comfy/testing/probe-nodes.ts';
import { startComfySimulator } from '../simulator/comfy/simulator.ts';
import { startRunpodSimulator } from '../simulator/stand-ins/runpod.ts';
import { startScriptedEndpoint, type Asked } from './scripted-endpoint.ts';
import { startCliRig } from './test-cli.ts';

const workflow = ({ stepMs = 0, node = 'ProbeSampler' } = {}) => ({
  '1': { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: 1 } },
  '2': {
    class_type: node,
    inputs: { image: ['1', 0], steps: 100, step_ms: stepMs, seed: 1, note: 1, message: 'boom' },
    _meta: { title: 'The slow one' },
  },
  '3': { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'T' } },
});
const text = (options = {}) => JSON.stringify(workflow(options));

/** The platform with a real worker, and a cli to submit from. */
async function openOffice() {
  const parts = new AsyncDisposableStack();
  const comfy = parts.use(await startComfySimulator({ nodes: PROBE_NODES }));
  const platform = parts.use(await startRunpodSimulator());
  const machine = parts.use(
    await startCliRig({ ...platform.env, COMFY_URL: comfy.url, PROGRESS_INTERVAL_MS: '50' }),
  );
  machine.start([]);
  const cli = parts.use(await startCliRig());
  const endpoint = `${platform.url}/v2/${platform.endpointId}`;
  return {
    comfy,
    platform,
    cli,
    submit: [
      'submit',
      '-',
      '--endpoint',
      endpoint,
      '--api-key',
      platform.env.RUNPOD_AI_API_KEY ?? '',
    ],
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

test('submit sends a job, and prints only its id to stdout', async () => {
  await using office = await openOffice();
  const { cli, submit, platform } = office;
  const args = [...submit, '--webhook', 'https://example.org/done'];
  const { code, stdout, stderr } = await cli.run(args, text());
  expect(code).toBe(0);
  expect(stderr).toContain('IN_QUEUE');
  const jobId = stdout.trim();
  expect((await platform.result(jobId)).body).toMatchObject({ output: { images: [{}] } });
  expect(await readdir(cli.folder)).toEqual([]); // there is nothing to save, so no folder either
});

test('a job is watched to its end: progress by node, and its image in a file', async () => {
  await using office = await openOffice();
  const { cli, submit } = office;
  const { code, stdout, stderr } = await cli.run([...submit, '--watch'], text({ stepMs: 20 }));
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
  expect(stderr).toMatch(/\d+ % {2}The slow one/);
  expect(stderr).toMatch(/COMPLETED {3}waited .* ran /);
  expect(await readdir(join(cli.folder, 'output'))).toEqual(['T_00001_.png']);
});

test('with --sync the result comes with the answer, and nothing else is printed to stdout', async () => {
  await using office = await openOffice();
  const { cli, submit, platform } = office;
  const { code, stdout } = await cli.run([...submit, '--sync', '--json'], text());
  expect(code).toBe(0);
  const { id, images } = JSON.parse(stdout) as { id: string; images: { path: string }[] };
  expect(id).toMatch(/^sync-/);
  expect(platform.job(id)?.status).toBe('COMPLETED');
  expect(images).toHaveLength(1);
  expect((await readFile(join(cli.folder, images[0]!.path))).subarray(1, 4).toString()).toBe('PNG');
});

test('a job that fails ends with 1 and its reason', async () => {
  await using office = await openOffice();
  const { cli, submit } = office;
  const run = await cli.run([...submit, '--watch', '--quiet'], text({ node: 'ProbeFail' }));
  expect(run.code).toBe(1);
  expect(run.stderr).toMatch(/ProbeFail.*boom/);
});

test('a seed beyond what JavaScript can hold reaches ComfyUI with every digit', async () => {
  await using office = await openOffice();
  const { cli, submit, comfy } = office;
  const args = [...submit, '--watch', '--set', '2.note=18446744073709551615'];
  expect(await cli.run(args, text())).toMatchObject({ code: 0 });
  expect(await (await fetch(`${comfy.url}/history`)).text()).toContain('18446744073709551615');
});

test('Ctrl-C cancels the job where it runs, and ends with 130', async () => {
  await using office = await openOffice();
  const { cli, submit, comfy } = office;
  const running = cli.start([...submit, '--watch'], text({ stepMs: 50 }));
  await running.tells(/The slow one/);
  running.interrupt();
  const { code, stderr } = await running.finished;
  expect(code).toBe(130);
  expect(stderr).toContain('CANCELLED');
  await comfy.waitFor({ type: 'execution_interrupted' });
});

test('a job over its time is cancelled where it runs, and ends with 4', async () => {
  await using office = await openOffice();
  const { cli, submit, comfy } = office;
  const args = [...submit, '--watch', '--timeout', '2'];
  expect(await cli.run(args, text({ stepMs: 500 }))).toMatchObject({ code: 4 });
  await comfy.waitFor({ type: 'execution_interrupted' });
});

test('a watched job survives short failures of the endpoint', async () => {
  await using office = await openOffice();
  const { cli, submit, platform } = office;
  platform.faults.next('status', { status: 502 }, 1);
  platform.faults.next('status', 'reset', 2);
  platform.faults.next('status', { status: 429 }, 1);
  const { code, stderr } = await cli.run([...submit, '--watch'], text());
  expect(code).toBe(0);
  expect(stderr).toMatch(/asking again: .*502/);
});

test('an endpoint that is busy when a job comes is asked again', async () => {
  await using office = await openOffice();
  const { cli, submit, platform } = office;
  platform.faults.next('run', { status: 429 });
  expect(await cli.run(submit, text())).toMatchObject({ code: 0 });
});

test('a request that may have reached the endpoint is not repeated', async () => {
  await using endpoint = await startScriptedEndpoint(() => ({ status: 502, body: 'bad gateway' }));
  await using cli = await startCliRig();
  const run = await cli.run(['submit', '-', '--endpoint', endpoint.url], text());
  expect(run.code).toBe(3);
  expect(run.stderr).toMatch(/\/v2\/local\/run cannot be used: 502/);
  expect(endpoint.asked).toHaveLength(1);
});

test('no endpoint ends with 3, after a few tries', async () => {
  const endpoint = await startScriptedEndpoint(() => ({ body: {} }));
  await endpoint[Symbol.asyncDispose]();
  await using cli = await startCliRig();
  const run = await cli.run(['submit', '-', '--endpoint', endpoint.url], text());
  expect(run.code).toBe(3);
  expect(run.stderr).toContain(`${endpoint.url}/v2/local/run cannot be used: ECONNREFUSED`);
});

test.each([
  [401, 3, /check RUNPOD_API_KEY or --api-key/],
  [404, 3, /check --endpoint/],
  [400, 1, /answered 400 .*no input/],
])('an endpoint that answers %i ends with %i and what it said', async (status, code, reason) => {
  await using endpoint = await startScriptedEndpoint(() => ({
    status,
    body: { error: 'no input' },
  }));
  await using cli = await startCliRig();
  const run = await cli.run(['submit', '-', '--endpoint', endpoint.url, '--watch'], text());
  expect(run.code).toBe(code);
  expect(run.stderr).toMatch(reason);
});

test('a job that is too large is told its size and the limit', async () => {
  await using endpoint = await startScriptedEndpoint(() => ({ status: 413, body: {} }));
  await using cli = await startCliRig();
  const image = 'A'.repeat(11_000_000);
  const job = JSON.stringify({ input: { workflow: workflow(), images: [{ name: 'a', image }] } });
  const run = await cli.run(['submit', '-', '--endpoint', endpoint.url], job);
  expect(run).toMatchObject({ code: 1 });
  expect(run.stderr).toMatch(/the job has 11\.0 MB, RunPod takes 10/);
});

const done = (output: unknown) => (asked: Asked) =>
  asked.path.endsWith('/run')
    ? { body: { id: 'j1', status: 'IN_QUEUE' } }
    : { body: { id: 'j1', status: 'COMPLETED', output } };

test('links are fetched, names never leave the folder, and a link that is dead ends with 5', async () => {
  await using bucket = await startScriptedEndpoint(({ path }) =>
    path.startsWith('/good') ? { body: Buffer.from('bytes') } : { status: 404, body: {} },
  );
  const item = (filename: string, path: string) => ({
    filename,
    type: 's3_url',
    data: `${bucket.url}/${path}?sig=secret`,
  });
  const images = [
    item('../../up.png', 'good'),
    item('..\\..\\up.png', 'good'),
    item('b.png', 'bad'),
  ];
  await using endpoint = await startScriptedEndpoint(done({ images }));
  await using cli = await startCliRig();
  const args = ['submit', '-', '--endpoint', endpoint.url, '--watch', '--out', 'a/b'];
  const { code, stderr } = await cli.run(args, text());
  expect(code).toBe(5);
  expect(stderr).toMatch(/b\.png is not saved: .*404/);
  expect(stderr).not.toContain('secret');
  expect((await readdir(join(cli.folder, 'a/b'))).sort()).toEqual(['up-2.png', 'up.png']);
});

test("RunPod's key is sent to RunPod only; another endpoint gets what was given for it", async () => {
  await using endpoint = await startScriptedEndpoint(done({}));
  await using cli = await startCliRig({ RUNPOD_API_KEY: 'rpa_mine' });
  const args = ['submit', '-', '--endpoint', `${endpoint.url}/v2/mine/run`];
  await cli.run(args, text());
  await cli.run([...args, '--api-key', 'local'], text());
  expect(endpoint.asked.map(({ path, authorization }) => [path, authorization])).toEqual([
    ['/v2/mine/run', 'Bearer'],
    ['/v2/mine/run', 'Bearer local'],
  ]);
});

test('members beside the input of a job file are sent, too', async () => {
  await using endpoint = await startScriptedEndpoint(done({}));
  await using cli = await startCliRig();
  const job = JSON.stringify({ input: { workflow: {} }, policy: { ttl: 60_000 }, webhook: 'old' });
  const args = ['submit', '-', '--endpoint', endpoint.url, '--webhook', 'https://example.org/x'];
  await cli.run(args, job);
  expect(JSON.parse(endpoint.asked[0]!.body)).toEqual({
    input: { workflow: {} },
    policy: { ttl: 60_000 },
    webhook: 'https://example.org/x',
  });
});

test.each([
  [['--endpoint', 'abc123'], /set RUNPOD_API_KEY/],
  [['--endpoint', 'ftp://x'], /Expected --endpoint to be an id, or a URL/],
  [['--endpoint', 'http://127.0.0.1:9', '--webhook', 'here'], /Expected --webhook to be a URL/],
  [['--endpoint', 'http://127.0.0.1:9', '--watch', '--sync'], /cannot be used with/],
  [[], /required option/],
])('submit %j ends with 2 and a reason', async (args, reason) => {
  await using cli = await startCliRig();
  const run = await cli.runHere(['submit', '-', ...args], text());
  expect(run.code).toBe(2);
  expect(run.stderr).toMatch(reason);
});
