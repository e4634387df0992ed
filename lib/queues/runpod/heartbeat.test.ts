import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { expect, test } from '@jest/globals';
import { createLog } from '../../log.ts';
import { startRunpodSimulator, type RunpodSimulator } from '../../simulator/stand-ins/runpod.ts';
import { startHeartbeat, type HeartbeatOptions } from './heartbeat.ts';
import { reportUnhealthy } from './ping.ts';

const INTERVAL_MS = 100;

test('the first ping comes at once, later ones at the interval, naming the jobs held', async () => {
  await using sim = await startRunpodSimulator();
  const first = sim.nextPing();
  await using heartbeat = startHeartbeat({ ...(await heartbeatOptions(sim)), intervalMs: 200 });
  const idle = await first;
  expect(idle).toMatchObject({
    ids: ['pod1'],
    query: { gpu: 'Simulated GPU', runpod_version: '1.2.3' },
    headers: { authorization: sim.env.RUNPOD_AI_API_KEY },
  });
  expect(idle.query).not.toHaveProperty('job_id');

  heartbeat.setJobs(['j1', 'j2']);
  const busy = await sim.nextPing();
  expect(busy.query.job_id).toBe('j1,j2');
  expect(busy.at - idle.at).toBeGreaterThan(150);

  heartbeat.setJobs([]);
  expect((await sim.nextPing()).query).not.toHaveProperty('job_id');
});

test('pings go on while the main thread is busy', async () => {
  await using platform = await startPlatformElsewhere();
  const options = await heartbeatOptions({ env: {} });
  await using heartbeat = startHeartbeat({ ...options, apiKey: 'key', url: platform.url });
  heartbeat.setJobs(['j1']);
  await platform.pinged();
  platform.blockUntilPinged(6);
});

test('when the main thread is stuck, pings stop and that is logged at once; later they go on', async () => {
  await using platform = await startPlatformElsewhere();
  await using folder = await temporaryFolder();
  const file = join(folder.path, 'log');
  const logFd = openSync(file, 'w');
  const { options, lines } = await recorded({ env: {} });
  {
    const target = { ...options, apiKey: 'key', url: platform.url };
    await using heartbeat = startHeartbeat({ ...target, stuckMs: 200, logFd });
    heartbeat.setJobs(['j1']);
    await platform.pinged();
    while (readFileSync(file, 'utf8') === '') block(10);
    expect(readFileSync(file, 'utf8')).toMatch(/"level":"ERROR".*main thread is stuck/);
    block(INTERVAL_MS); // a ping may still be on its way
    const stopped = platform.count();
    block(4 * INTERVAL_MS);
    expect(platform.count()).toBe(stopped);
    while (platform.count() === stopped) await platform.pinged();
  }
  closeSync(logFd);
  expect(lines()).toEqual([
    expect.objectContaining({ level: 'WARN', message: expect.stringContaining('turns again') }),
  ]);
});

test('a ping that fails is retried before the next interval, and nothing is logged', async () => {
  await using sim = await startRunpodSimulator();
  const { options, lines } = await recorded(sim);
  sim.faults.next('ping', { status: 503 });
  await using _ = startHeartbeat({ ...options, intervalMs: 3_600_000 });
  await sim.until(() => sim.pings.length >= 2);
  expect(lines()).toEqual([]);
});

test('failing pings and their end are each logged once', async () => {
  await using sim = await startRunpodSimulator();
  const { options, lines } = await recorded(sim);
  await using _ = startHeartbeat(options);
  const off = sim.faults.whenever(({ route }) => (route === 'ping' ? { status: 404 } : undefined));
  await nextPings(sim, 3);
  off();
  await nextPings(sim, 3);
  expect(lines().map(({ level, reason }) => [level, reason])).toEqual([
    ['WARN', 'status 404'],
    ['INFO', undefined],
  ]);
});

test('a ping that is never answered is given up after two intervals', async () => {
  await using sim = await startRunpodSimulator();
  const { options, lines } = await recorded(sim);
  sim.faults.next('ping', 'hang');
  await using heartbeat = startHeartbeat(options);
  heartbeat.setJobs(['j1']);
  await sim.until(() => sim.pings[0]?.abandoned === true);
  await nextPings(sim, 2);
  expect(lines()[0]).toMatchObject({ reason: `no answer within ${2 * INTERVAL_MS} ms` });
});

test.each([
  ['key', { apiKey: undefined }],
  ['worker id', { podId: undefined }],
  ['URL', { url: undefined }],
  ['URL that is one', { url: 'nowhere' }],
  ['URL that is set', { url: 'PING_NOT_SET' }],
])('without a %s there is no heartbeat and no warning', async (_name, missing) => {
  const { options, lines } = await recorded({ env: {} });
  const target = { ...options, url: 'http://127.0.0.1:9/', apiKey: 'key' };
  await using heartbeat = startHeartbeat({ ...target, ...missing });
  heartbeat.setJobs(['j1']);
  expect(lines()).toEqual([expect.objectContaining({ level: 'DEBUG' })]);
});

test('the worker id may be $ID in the URL, and a URL without a query gets one', async () => {
  await using sim = await startRunpodSimulator();
  const url = `${sim.url}/v2/${sim.endpointId}/ping/$ID`;
  const first = sim.nextPing();
  await using heartbeat = startHeartbeat({ ...(await heartbeatOptions(sim)), url });
  heartbeat.setJobs(['j1']);
  expect(await first).toMatchObject({ ids: ['pod1'], query: { runpod_version: '1.2.3' } });
});

test('a disposed heartbeat pings no more', async () => {
  await using sim = await startRunpodSimulator();
  const heartbeat = startHeartbeat(await heartbeatOptions(sim));
  await sim.until(() => sim.pings.length > 0);
  await heartbeat[Symbol.asyncDispose]();
  const { length } = sim.pings;
  block(2 * INTERVAL_MS);
  await nextTurn();
  expect(sim.pings).toHaveLength(length);
});

test('an unfit worker is reported once, with the check and the reason', async () => {
  await using sim = await startRunpodSimulator();
  const options = await heartbeatOptions(sim);
  const unfit = { check: 'disk space', reason: 'x'.repeat(300) };
  expect(await reportUnhealthy(options, unfit)).toBe(true);
  expect(sim.pings.map(({ query }) => query)).toEqual([
    {
      gpu: 'Simulated GPU',
      status: 'unhealthy',
      check: 'disk space',
      reason: 'x'.repeat(256),
      runpod_version: '1.2.3',
    },
  ]);
  await sim.down();
  expect(await reportUnhealthy(options, unfit)).toBe(false);
});

type PingEnvironment = Pick<RunpodSimulator, 'env'>;

async function heartbeatOptions(platform: PingEnvironment): Promise<HeartbeatOptions> {
  return (await recorded(platform)).options;
}

async function recorded({ env }: PingEnvironment) {
  const stream = new PassThrough({ encoding: 'utf8' });
  const options: HeartbeatOptions = {
    url: env.RUNPOD_WEBHOOK_PING,
    apiKey: env.RUNPOD_AI_API_KEY,
    podId: 'pod1',
    version: '1.2.3',
    intervalMs: INTERVAL_MS,
    stuckMs: 60_000,
    log: await createLog({ level: 'trace', format: 'json', destination: stream }),
    logFormat: 'json',
  };
  const lines = () =>
    ((stream.read() as string | null) ?? '')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { options, lines };
}

async function nextPings(sim: RunpodSimulator, count: number): Promise<void> {
  const from = sim.pings.length;
  await sim.until(() => sim.pings.length >= from + count);
}

/** Keeps the event loop of this thread from turning. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** A platform in a thread of its own: one in this thread would be stuck with it. */
async function startPlatformElsewhere() {
  const pings = new Int32Array(new SharedArrayBuffer(4));
  const thread = new Worker(PLATFORM, { eval: true, workerData: pings });
  const [port] = (await once(thread, 'message')) as [number];
  return {
    url: `http://127.0.0.1:${port}/ping`,
    count: () => Atomics.load(pings, 0),
    /** Keeps the event loop of this thread from turning until so many more pings have come. */
    blockUntilPinged: (more: number) => {
      const until = Atomics.load(pings, 0) + more;
      for (let count = 0; count < until; count = Atomics.load(pings, 0)) {
        Atomics.wait(pings, 0, count);
      }
    },
    pinged: () => once(thread, 'message'),
    [Symbol.asyncDispose]: async () => {
      await thread.terminate();
    },
  };
}

const PLATFORM = `
  const { parentPort, workerData } = require('node:worker_threads');
  const server = require('node:http').createServer((request, response) => {
    response.end('{}');
    Atomics.add(workerData, 0, 1);
    Atomics.notify(workerData, 0);
    parentPort.postMessage('ping');
  });
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
`;

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'heartbeat-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}
