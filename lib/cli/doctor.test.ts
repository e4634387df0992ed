import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { readConfig } from '../config.ts';
import { startComfySimulator } from '../simulator/comfy/simulator.ts';
import { startRunpodSimulator } from '../simulator/stand-ins/runpod.ts';
import { startS3Simulator } from '../simulator/stand-ins/s3.ts';
import type { Finding, Surroundings } from './doctor/check.ts';
import { comfyCheck } from './doctor/comfy.ts';
import { nodeCheck, volumeCheck } from './doctor/machine.ts';
import { startScriptedEndpoint } from './scripted-endpoint.ts';
import { startCliRig } from './test-cli.ts';

type Environment = Record<string, string>;

/** Everything a worker needs, in good health. */
async function openHospital() {
  const parts = new AsyncDisposableStack();
  const models = { checkpoints: ['a.safetensors'], loras: ['l1', 'l2'] };
  const comfy = parts.use(await startComfySimulator({ models }));
  const platform = parts.use(await startRunpodSimulator());
  const s3 = parts.use(await startS3Simulator({ buckets: ['pictures'] }));
  const healthy: Environment = {
    ...platform.env,
    COMFY_URL: comfy.url,
    BUCKET_ENDPOINT_URL: s3.url,
    BUCKET_NAME: 'pictures',
    BUCKET_ACCESS_KEY_ID: s3.accessKeyId,
    BUCKET_SECRET_ACCESS_KEY: s3.secretAccessKey,
  };
  return {
    comfy,
    platform,
    s3,
    healthy,
    examine: (changes: Environment = {}) => examine({ ...healthy, ...changes }),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

async function examine(environment: Environment) {
  await using cli = await startCliRig(environment);
  const { code, stdout, stderr } = await cli.run(['doctor', '--json']);
  expect(stderr).toBe('');
  const { healthy, findings } = JSON.parse(stdout) as { healthy: boolean; findings: Finding[] };
  return {
    code,
    healthy,
    findings,
    of: (subject: string) => findings.filter((finding) => finding.subject === subject),
    bad: findings.filter(({ state }) => state === 'broken' || state === 'warning'),
  };
}

test('a worker that has everything is healthy, and no job is taken to find that out', async () => {
  await using hospital = await openHospital();
  const { code, healthy, bad, of } = await hospital.examine();
  expect(bad).toEqual([]);
  expect({ code, healthy }).toEqual({ code: 0, healthy: true });
  expect(of('ComfyUI')[0]?.message).toMatch(/^0\.33\.0, simulated at http/);
  expect(of('Models')[0]?.message).toContain('1 checkpoints');
  expect(of('Models')[0]?.message).toContain('2 LoRAs');
  expect(of('Bucket')[1]?.message).toContain('same bytes');
  expect(of('Clock')[0]).toMatchObject({ state: 'ok' });
  expect(of('RunPod')[0]?.message).toContain('complete');
  expect(hospital.platform.takes).toEqual([]);
  expect([...hospital.s3.objects.keys()]).toEqual([expect.stringMatching(/^pictures\/doctor\//)]);
});

test('without --json the findings are a table with advice and without secrets', async () => {
  await using hospital = await openHospital();
  await using cli = await startCliRig({
    ...hospital.healthy,
    BUCKET_SECRET_ACCESS_KEY: 'wrong-secret',
  });
  const { code, stdout } = await cli.run(['doctor']);
  expect(code).toBe(1);
  expect(stdout).toMatch(/^ok +Node +\d/m);
  expect(stdout).toMatch(/^broken +Bucket .*SignatureDoesNotMatch.*\n +→ /m);
  expect(stdout).toMatch(/1 broken\.$/m);
  expect(stdout).not.toContain('wrong-secret');
  expect(stdout).not.toContain(hospital.platform.env.RUNPOD_AI_API_KEY);
});

const cases: readonly (readonly [
  string,
  Environment,
  string,
  'broken' | 'warning',
  RegExp,
  RegExp,
])[] = [
  [
    'a variable that does not parse',
    { JOB_CONCURRENCY: 'many' },
    'Settings',
    'broken',
    /^JOB_CONCURRENCY must be/,
    /correct/,
  ],
  [
    'half of a bucket',
    { BUCKET_SECRET_ACCESS_KEY: '' },
    'Bucket',
    'broken',
    /BUCKET_SECRET_ACCESS_KEY is missing/,
    /configuration/,
  ],
  [
    'a bucket that is not there',
    { BUCKET_NAME: 'nowhere' },
    'Bucket',
    'broken',
    /NoSuchBucket/,
    /./,
  ],
  [
    'a key that is missing',
    { RUNPOD_AI_API_KEY: '' },
    'RunPod',
    'broken',
    /RUNPOD_AI_API_KEY is not set/,
    /set it/,
  ],
  [
    'no place for results',
    { RUNPOD_WEBHOOK_POST_OUTPUT: '' },
    'RunPod',
    'broken',
    /nowhere to go/,
    /job-done/,
  ],
  [
    'one place for all results',
    { RUNPOD_WEBHOOK_POST_OUTPUT: 'http://127.0.0.1:1/job-done' },
    'RunPod',
    'broken',
    /no \$ID/,
    /put \$ID/,
  ],
  [
    'no place to take jobs',
    { RUNPOD_WEBHOOK_GET_JOB: '' },
    'RunPod',
    'broken',
    /no jobs would be taken/,
    /both/,
  ],
  ['no heartbeat', { RUNPOD_WEBHOOK_PING: '' }, 'RunPod', 'warning', /no heartbeat/, /RunPod/],
  [
    'a spool nobody can write',
    { RESULT_SPOOL_DIR: '/dev/null/spool' },
    'Spool',
    'broken',
    /cannot be written/,
    /RESULT_SPOOL_DIR/,
  ],
];

test.each(cases)(
  '%s is found, with what to do',
  async (_, changes, subject, state, message, advice) => {
    await using hospital = await openHospital();
    const { code, of } = await hospital.examine(changes);
    expect(code).toBe(state === 'broken' ? 1 : 0);
    const found = of(subject).filter((finding) => finding.state === state);
    expect(found.some((finding) => message.test(finding.message))).toBe(true);
    for (const finding of found) expect(finding.advice).toMatch(/./);
    expect(found.some((finding) => advice.test(finding.advice ?? ''))).toBe(true);
  },
);

test('ComfyUI that is down is the one thing broken', async () => {
  await using hospital = await openHospital();
  await hospital.comfy.faults.die();
  const { code, bad, of } = await hospital.examine();
  expect(code).toBe(1);
  expect(bad).toEqual([
    expect.objectContaining({
      subject: 'ComfyUI',
      advice: expect.stringContaining('start ComfyUI') as unknown,
    }),
  ]);
  expect(of('Models')[0]?.state).toBe('skipped');
});

test('another server at the address of ComfyUI is recognised', async () => {
  await using other = await startScriptedEndpoint(() => ({ body: { hello: 'world' } }));
  const { code, of } = await examine({ COMFY_URL: other.url });
  expect(code).toBe(1);
  expect(of('ComfyUI')[0]?.message).toContain('does not speak as ComfyUI does');
});

test('a ComfyUI without models to sample with is a warning', async () => {
  await using comfy = await startComfySimulator({ models: { vae: ['v'] } });
  const { code, of } = await examine({ COMFY_URL: comfy.url });
  expect(code).toBe(0);
  expect(of('Models')[0]).toMatchObject({
    state: 'warning',
    message: expect.stringMatching(/^0 checkpoints, 0 diffusion/) as unknown,
  });
});

test('a platform that cannot be reached is broken', async () => {
  await using hospital = await openHospital();
  await hospital.platform.down();
  const { code, bad } = await hospital.examine();
  expect(code).toBe(1);
  expect(bad.map(({ subject, message }) => [subject, message])).toEqual([
    ['RunPod', expect.stringContaining('ECONNREFUSED')],
  ]);
});

test('a wrong clock is found by the Date header of a server', async () => {
  const date = new Date(Date.now() - 3_600_000).toUTCString();
  await using server = await startScriptedEndpoint(() => ({ body: {}, headers: { date } }));
  const job = `${server.url}/v2/x/job-take/$ID`;
  const { of } = await examine({ RUNPOD_WEBHOOK_GET_JOB: job });
  expect(of('Clock')[0]).toMatchObject({
    state: 'broken',
    message: expect.stringMatching(/^3[56]\d\d s from/) as unknown,
  });
});

test('jobs that killed ComfyUI are listed, until they are forgotten', async () => {
  await using comfy = await startComfySimulator({ models: { checkpoints: ['a'] } });
  await using cli = await startCliRig({ COMFY_URL: comfy.url });
  await mkdir(join(cli.folder, 'spool'));
  const job = { hash: 'h', jobId: 'job-1', killedAt: Date.now() };
  const old = { ...job, jobId: 'job-0', killedAt: Date.now() - 3600_000 };
  await writeFile(
    join(cli.folder, 'spool', 'deadly-jobs.json'),
    JSON.stringify({ version: 1, jobs: [old, job] }),
  );
  const { stdout } = await cli.run(['doctor']);
  expect(stdout).toContain('jobs that are refused because they killed ComfyUI (1): job-1 (');
  const { stdout: after } = await cli.run(['doctor', '--forget-deadly-jobs']);
  expect(after).toContain('no job is refused for killing ComfyUI');
});

test('RunPod and a bucket are optional', async () => {
  await using comfy = await startComfySimulator({ models: { checkpoints: ['a'] } });
  const { code, bad, findings } = await examine({ COMFY_URL: comfy.url });
  expect({ code, bad }).toEqual({ code: 0, bad: [] });
  expect(findings.filter(({ state }) => state === 'skipped').map(({ subject }) => subject)).toEqual(
    expect.arrayContaining(['Bucket', 'Clock', 'RunPod']),
  );
});

async function surroundings(changes: Partial<Surroundings>): Promise<Surroundings> {
  const config = readConfig({});
  const openWorkerBucket = () => Promise.resolve(undefined);
  const backend = { sharedDisk: true, freeMemory: true, nodeProgress: true };
  return Promise.resolve({
    config,
    nodeVersion: '24.1.0',
    volume: '',
    backend,
    openWorkerBucket,
    comfyMemory: () => Promise.resolve(2_000_000_000),
    deadlyJobs: { list: () => Promise.resolve([]), clear: () => Promise.resolve() },
    ...changes,
  });
}
const { signal } = new AbortController();

test('a Node that is too old is broken', async () => {
  expect(
    await nodeCheck.look(await surroundings({ nodeVersion: 'v22.9.0' }), signal),
  ).toMatchObject([{ state: 'broken', message: 'v22.9.0 is too old' }]);
});

test('what a kind of ComfyUI lacks is told, and breaks nothing', async () => {
  await using comfy = await startComfySimulator();
  const config = readConfig({ COMFY_URL: comfy.url });
  const backend = { sharedDisk: false, freeMemory: false, nodeProgress: false };
  const findings = await comfyCheck.look(await surroundings({ config, backend }), signal);
  const skipped = findings.filter(({ state }) => state === 'skipped');
  expect(skipped.map(({ message }) => message)).toEqual([
    expect.stringContaining('disk is never shared'),
    expect.stringContaining('cache cannot be cleared'),
    expect.stringContaining('no progress'),
  ]);
  expect(findings.filter(({ state }) => state === 'ok')).toHaveLength(2);
});

test('models of a network volume are found where ComfyUI looks, or where they lie instead', async () => {
  const volume = await mkdtemp(join(tmpdir(), 'volume-'));
  const look = async () => (await volumeCheck.look(await surroundings({ volume }), signal))[0];
  try {
    await mkdir(join(volume, 'ComfyUI/models'), { recursive: true });
    expect((await look())?.advice).toBe(
      `there is ${volume}/ComfyUI/models: move it to ${volume}/models`,
    );
    await mkdir(join(volume, 'models'));
    expect(await look()).toMatchObject({ state: 'warning', message: `${volume}/models is empty` });
    await mkdir(join(volume, 'models/checkpoints'));
    await writeFile(join(volume, 'models/checkpoints/a'), '');
    expect(await look()).toMatchObject({
      state: 'ok',
      message: `${volume}/models has checkpoints`,
    });
  } finally {
    await rm(volume, { recursive: true });
  }
});
