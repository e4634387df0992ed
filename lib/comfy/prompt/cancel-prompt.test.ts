import { expect, jest, test } from '@jest/globals';
import { WorkerError } from '../../errors.ts';
import { JsonText } from '../../json.ts';
import type { ComfyVersion } from '../../simulator/comfy/profile.ts';
import { startComfySimulator } from '../../simulator/comfy/simulator.ts';
import { PROBE_NODES } from '../../simulator/comfy/testing/probe-nodes.ts';
import type { ComfyBackend } from '../backend.ts';
import { LocalComfy } from '../local/local-comfy.ts';
import { startComfyPlace, startSupervisor } from '../local/supervisor/test-supervisor.ts';
import { never, openComfy, silentLog, tinyWorkflow } from '../test-comfy.ts';

jest.setTimeout(60_000);

const tooLate = new WorkerError('job.timeout', 'too late');

/** A workflow with a node that works without progress, so that it cannot be interrupted. */
const sleeping = (ms: number) =>
  JsonText.of({
    1: { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: 0 } },
    2: { class_type: 'ProbeSleep', inputs: { image: ['1', 0], ms } },
    3: { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 's' } },
  });

const sampling = JsonText.of({
  1: { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: 0 } },
  2: { class_type: 'ProbeSampler', inputs: { image: ['1', 0], steps: 9999, step_ms: 5, seed: 1 } },
  3: { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 's' } },
});

/** Runs a prompt and gives it up when its second node is at work, which is a moment after its first event. */
async function giveUp(comfy: ComfyBackend, workflow: JsonText): Promise<void> {
  const job = new AbortController();
  const outcome = comfy.runPrompt(
    { workflow },
    {
      signal: job.signal,
      log: silentLog,
      onProgress: ({ node }) => node === '2' && setTimeout(() => job.abort(tooLate), 100),
    },
  );
  await expect(outcome).rejects.toBe(tooLate);
}

test.each<[ComfyVersion, boolean]>([
  ['0.33.0', true],
  ['0.8.0', false],
])('in ComfyUI %s a prompt is cancelled as a job: %s', async (version, asJob) => {
  await using simulator = await startComfySimulator({ nodes: PROBE_NODES, version });
  await using comfy = openComfy(simulator.url);
  await giveUp(comfy, sampling);
  await simulator.waitFor({ type: 'execution_interrupted' });
  const interrupts = simulator.past({ type: 'request', request: 'POST /interrupt' });
  expect(interrupts.length === 0).toBe(asJob);
});

test('the next job waits until a prompt that was given up has really ended', async () => {
  await using simulator = await startComfySimulator({ nodes: PROBE_NODES });
  await using comfy = openComfy(simulator.url, { limits: { cancelMs: 50 } });
  await giveUp(comfy, sleeping(1000));
  expect(simulator.prompts).toHaveLength(0);
  await comfy.waitUntilReady(never);
  expect(simulator.prompts).toHaveLength(1);
});

test('a job that is stopped does not wait for a prompt that was given up', async () => {
  await using simulator = await startComfySimulator({ nodes: PROBE_NODES });
  await using comfy = openComfy(simulator.url, { limits: { cancelMs: 50 } });
  await giveUp(comfy, sleeping(1000));
  const job = new AbortController();
  const waiting = comfy.waitUntilReady(job.signal);
  job.abort(tooLate);
  await expect(waiting).rejects.toBe(tooLate);
  expect(simulator.prompts).toHaveLength(0);
});

test('a ComfyUI of its own is restarted when a prompt that was given up does not end', async () => {
  await using place = await startComfyPlace();
  await using rig = await startSupervisor(place, { COMFY_UNRESPONSIVE_S: '1' });
  const limits = { ...rig.comfy.limits, cancelMs: 100 };
  await using comfy = new LocalComfy(
    { ...rig.comfy, limits },
    { log: silentLog, supervisor: rig.supervisor },
  );
  await comfy.waitUntilReady(never);
  await giveUp(comfy, sleeping(600_000));
  await comfy.waitUntilReady(never);
  const next = await comfy.runPrompt({ workflow: tinyWorkflow }, { signal: never, log: silentLog });
  expect(next.ending).toBe('succeeded');
  expect(place.starts()).toHaveLength(2);
});
