import { expect, test } from '@jest/globals';
import { startRunpodSimulator, type RunpodSimulator } from '../../simulator/stand-ins/runpod.ts';
import { createRunpodQueue } from './runpod-queue.ts';
import { createTestLog, InstantClock, queueSettings } from '../../worker/test-worker.ts';

/** Listens until `ids` have come or `polls` polls were made. */
async function listen(
  sim: RunpodSimulator,
  { clock = new InstantClock(), ...until }: { ids?: number; polls?: number; clock?: InstantClock },
) {
  const { log } = await createTestLog();
  await using queue = createRunpodQueue({ ...queueSettings(sim.env), log, clock });
  const ended = new AbortController();
  const heard: string[] = [];
  const polled = sim.until(() => sim.stops.length >= (until.polls ?? Infinity));
  void polled.then(
    () => ended.abort(),
    () => undefined,
  );
  try {
    for await (const jobIds of queue.stops!(ended.signal)) {
      heard.push(...jobIds);
      if (heard.length >= (until.ids ?? Infinity)) break;
    }
  } catch (error) {
    if (!ended.signal.aborted) throw error;
  }
  return { heard, pauses: clock.pauses };
}

test('the stop channel is beside the take channel and has the same query', async () => {
  await using sim = await startRunpodSimulator({ stopHoldMs: 1 });
  await listen(sim, { polls: 1 });
  expect(sim.stops[0]).toMatchObject({
    method: 'GET',
    path: '/v2/simulated/job-stop/simulated-pod',
    query: { gpu: 'Simulated GPU' },
  });
  expect(sim.stops[0]?.headers.authorization).toBe(sim.env.RUNPOD_AI_API_KEY);
});

test('polls that are answered at once without ids begin a second apart', async () => {
  await using sim = await startRunpodSimulator();
  sim.faults.next('job-stop', { status: 204 }, 4);
  const { pauses } = await listen(sim, { polls: 4 });
  expect(pauses.slice(0, 3)).toEqual([1000, 1000, 1000]);
});

test('ids are passed on; other values and unreadable answers are ignored', async () => {
  await using sim = await startRunpodSimulator();
  for (const text of ['<html>', '[]', '{"jobsToStop":"j0"}', '{"jobsToStop":["j1",7,null,"j2"]}']) {
    sim.faults.next('job-stop', { status: 200, text });
  }
  expect((await listen(sim, { ids: 2 })).heard).toEqual(['j1', 'j2']);
});

test('a platform that repeats the same ids is asked at most ten times a second', async () => {
  await using sim = await startRunpodSimulator();
  sim.faults.next('job-stop', { status: 200, text: '{"jobsToStop":["j1"]}' }, 5);
  const { heard, pauses } = await listen(sim, { ids: 5 });
  expect(heard).toHaveLength(5);
  expect(Math.min(...pauses)).toBeGreaterThanOrEqual(100);
});

test('errors make the delays grow, 429 waits five seconds, and the channel goes on', async () => {
  await using sim = await startRunpodSimulator();
  sim.faults.next('job-stop', { status: 429 });
  sim.faults.next('job-stop', { status: 500 }, 3);
  sim.faults.next('job-stop', 'reset');
  sim.faults.next('job-stop', { status: 200, text: '{"jobsToStop":["j1"]}' });
  const { heard, pauses } = await listen(sim, { ids: 1 });
  expect(heard).toEqual(['j1']);
  expect(pauses[0]).toBe(5000);
  expect(pauses[4]).toBeGreaterThan(pauses[1]!);
});
