import { expect, test } from '@jest/globals';
import type { SimulatorEvent } from '../../lib/simulator/comfy/event-log.ts';
import type { RequestFault } from '../../lib/simulator/stand-ins/runpod/requests.ts';
import { pictures, startRig } from './rigs/test-rig.ts';

const JOBS = 500;

/** Random numbers from 0 to 1 that are the same in every run, so that a failure can be reproduced. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

test('500 jobs under random faults: every job gets a result, and no job gets two different ones', async () => {
  const random = createRandom(20261120);
  await using rig = await startRig({
    environment: { JOB_PREFETCH: '2', WEBSOCKET_RECONNECT_ATTEMPTS: '20' },
    platform: { waitMs: 120_000 },
  });
  await using faults = startFaults(rig, random);
  const jobIds = Array.from({ length: JOBS }, (_, index) =>
    rig.platform.submit({
      workflow: pictures({ color: index, size: 8, prefix: `soak/${index % 50}/${index}` }),
    }),
  );
  const results = await Promise.all(jobIds.map((jobId) => rig.posted(jobId)));
  faults.stop();

  // A fault may fail a job, with an error. A job that succeeds has its own image and no other.
  const failed = results.filter(({ error }) => error !== undefined);
  expect(failed.length).toBeLessThan(JOBS / 20);
  results.forEach(({ output, error }, index) => {
    if (error !== undefined) return;
    expect(output?.images?.map(({ filename }) => filename)).toEqual([`${index}_00001_.png`]);
  });
  expect(faults.count).toBeGreaterThan(100);
  expect(rig.platform.violations).toEqual([]);
}, 180_000);

/** Causes a fault at about every third job, on each connection of the worker. */
function startFaults(rig: Awaited<ReturnType<typeof startRig>>, random: () => number) {
  const { comfy, platform } = rig;
  const counted = { count: 0, stopped: false };
  const pick = <T>(items: readonly T[]) => items[Math.floor(random() * items.length)] as T;
  const happens = (chance: number) => !counted.stopped && random() < chance && ++counted.count > 0;

  const release = platform.faults.whenever(({ route }): RequestFault | undefined => {
    if (route === 'job-done' && happens(0.1)) return pick(POST_FAULTS);
    if (route === 'job-take' && happens(0.03)) return pick(TAKE_FAULTS);
    return undefined;
  });
  const breaking = breakThings();

  return {
    get count() {
      return counted.count;
    },
    stop: () => (counted.stopped = true),
    [Symbol.asyncDispose]: async () => {
      counted.stopped = true;
      release();
      await breaking;
    },
  };

  async function breakThings(): Promise<void> {
    while (!counted.stopped) {
      const event = await nextPrompt();
      if (!event) continue; // nothing was accepted for two seconds
      if (happens(0.05)) void comfy.faults.breakSockets(pick(['close', 'reset']));
      if (happens(0.05)) comfy.faults.failAnswers({ request: 'POST /prompt', how: 'lose' });
      if (happens(0.05))
        comfy.faults.failAnswers({ request: 'GET /view', how: pick(['refuse', 'lose']) });
      if (happens(0.05))
        comfy.faults.failAnswers({ request: 'GET /history', how: 'delay', delayMs: 50 });
    }
  }

  function nextPrompt(): Promise<SimulatorEvent | undefined> {
    return comfy
      .waitFor({ type: 'accepted' }, { next: true, timeoutMs: 2000 })
      .catch(() => undefined);
  }
}

const POST_FAULTS: readonly RequestFault[] = [
  { status: 500 },
  { status: 503 },
  { status: 429, headers: { 'retry-after': '0' } },
  'reset',
  'lose-answer',
];
const TAKE_FAULTS: readonly RequestFault[] = [
  { status: 500 },
  { status: 429, headers: { 'retry-after': '0' } },
  'reset',
  { status: 200, text: 'garbage' },
];
