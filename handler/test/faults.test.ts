import { expect, test } from '@jest/globals';
import type { EventMatch } from '../../lib/simulator/comfy/event-log.ts';
import { loading, pictures, sampling, startRig } from './rigs/test-rig.ts';

/** The moments at which a connection is broken. */
const POINTS: readonly (readonly [string, EventMatch])[] = [
  ['when it opens', { type: 'socket_open' }],
  ['when the prompt is accepted', { type: 'accepted' }],
  ['when the prompt starts', { type: 'execution_start' }],
  ['while a node runs', { type: 'progress' }],
  ['when an output is made', { type: 'executed' }],
  ['just before the end is reported', { type: 'ended' }],
];

const cases = (['close', 'reset'] as const).flatMap((how) =>
  POINTS.map(([when, at]) => [how, when, at] as const),
);

test.each(cases)('a socket that breaks (%s) %s does not fail the job', async (how, _when, at) => {
  await using rig = await startRig({ comfy: { speed: 1 } });
  void rig.comfy.faults.breakSockets(how, { at });
  const { output, error } = await rig.run({ workflow: sampling({ steps: 5, stepMs: 10 }) });
  expect(error).toBeUndefined();
  expect(output?.images).toHaveLength(1);
  const again = await rig.run({ workflow: pictures() });
  expect(again.output?.images).toHaveLength(1);
  expect(rig.comfy.prompts).toHaveLength(2);
});

test('a socket that goes silent without closing does not block the job', async () => {
  await using rig = await startRig({
    comfy: { speed: 1 },
    environment: { COMFY_PING_INTERVAL_S: '1' },
  });
  void rig.comfy.faults.breakSockets('stall', { at: { type: 'progress' } });
  const { output } = await rig.run({ workflow: sampling({ steps: 10, stepMs: 20 }) });
  expect(output?.images).toHaveLength(1);
});

test('a node failure while the socket is down is still reported', async () => {
  await using rig = await startRig({ comfy: { speed: 1 } });
  void rig.comfy.faults.breakSockets('close', { at: { type: 'executing', nodeId: '4' } });
  const { error, output } = await rig.run({
    workflow: {
      ...sampling({ steps: 3, stepMs: 10 }),
      '4': { class_type: 'ProbeFail', inputs: { image: ['2', 0], message: 'unheard' } },
      '3': { class_type: 'SaveImage', inputs: { images: ['4', 0], filename_prefix: 'x' } },
    },
  });
  expect(error).toBe('Job processing failed');
  expect(output?.details?.[0]).toContain('Message: unheard');
});

test('the worker waits for a history entry that appears late', async () => {
  await using rig = await startRig();
  rig.comfy.faults.delayHistory(400);
  const { output } = await rig.run({ workflow: pictures() });
  expect(output?.images).toHaveLength(1);
});

test('a prompt whose acceptance got no answer runs once, not twice', async () => {
  await using rig = await startRig();
  rig.comfy.faults.failAnswers({ request: 'POST /prompt', how: 'lose' });
  const { output } = await rig.run({ workflow: pictures() });
  expect(output?.images).toHaveLength(1);
  expect(rig.comfy.prompts).toHaveLength(1);
});

test('a job whose ComfyUI is restarted runs once more, and the next job is served', async () => {
  await using rig = await startRig({ comfy: { speed: 1 }, waitsForComfy: true });
  const jobId = rig.platform.submit({ workflow: sampling({ steps: 100, stepMs: 20 }) });
  await rig.comfy.waitFor({ type: 'progress' });
  await rig.comfy.faults.restart();
  const { error, output } = await rig.posted(jobId);
  expect(error).toBeUndefined();
  expect(output).toMatchObject({ attempts: 2, images: [{ filename: 'S_00001_.png' }] });
  expect((await rig.run({ workflow: pictures() })).output?.images).toHaveLength(1);
});

test('a job stopped by the platform is interrupted in ComfyUI, and nothing is posted for it', async () => {
  await using rig = await startRig({ comfy: { speed: 1 } });
  const jobId = rig.platform.submit({ workflow: sampling({ steps: 1000, stepMs: 20 }) });
  await rig.comfy.waitFor({ type: 'progress' });
  rig.platform.stopJob(jobId);
  await rig.comfy.waitFor({ type: 'execution_interrupted' });
  const next = await rig.run({ workflow: pictures() });
  expect(next.output?.images).toHaveLength(1);
  expect(rig.platform.job(jobId)?.posts).toEqual([]);
});

test('a job stopped while it waits in ComfyUI is removed from the queue, and the running one continues', async () => {
  await using rig = await startRig({ comfy: { speed: 1 }, environment: { JOB_PREFETCH: '1' } });
  const running = rig.platform.submit({ workflow: sampling({ steps: 40, stepMs: 20 }) });
  await rig.comfy.waitFor({ type: 'progress' });
  const waiting = rig.platform.submit({ workflow: sampling({ steps: 10, seed: 2 }) });
  await rig.platform.until(() => rig.platform.job(waiting)?.status === 'IN_PROGRESS');
  rig.platform.stopJob(waiting);
  expect((await rig.posted(running)).output?.images).toHaveLength(1);
  expect(rig.comfy.prompts).toHaveLength(1);
});

test('a job that takes longer than its policy allows is interrupted and fails', async () => {
  await using rig = await startRig({ comfy: { speed: 1 } });
  const { error } = await rig.run(
    { workflow: sampling({ steps: 1000, stepMs: 20 }) },
    { policy: { executionTimeout: 300 } },
  );
  expect(error).toMatch(/longer than 0\.3 s/);
  await rig.comfy.waitFor({ type: 'execution_interrupted' });
});

test('a result is posted again until the platform accepts it', async () => {
  await using rig = await startRig();
  rig.platform.faults.next('job-done', { status: 500 });
  rig.platform.faults.next('job-done', 'reset');
  rig.platform.faults.next('job-done', { status: 429, headers: { 'retry-after': '0' } });
  rig.platform.faults.next('job-done', 'lose-answer');
  const { output } = await rig.run({ workflow: pictures() });
  expect(output?.images).toHaveLength(1);
});

test('staging a job does not overwrite the input file of a running one', async () => {
  await using rig = await startRig({ comfy: { speed: 1 }, environment: { JOB_PREFETCH: '1' } });
  const slow = (name: string, seed: number) => ({
    ...loading(name, `leased${seed}`),
    '0': { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: seed } },
    '5': { class_type: 'ProbeSampler', inputs: { image: ['0', 0], steps: 5, step_ms: 30, seed } },
    '6': { class_type: 'SaveImage', inputs: { images: ['5', 0], filename_prefix: `first${seed}` } },
  });
  const { default: sharp } = await import('sharp');
  const image = async (background: string) =>
    (
      await sharp({ create: { width: 8, height: 8, channels: 3, background } })
        .png()
        .toBuffer()
    ).toString('base64');
  const jobs = await Promise.all(
    ['red', 'blue'].map(async (color, seed) =>
      rig.platform.submit({
        workflow: slow('in.png', seed),
        images: [{ name: 'in.png', image: await image(color) }],
      }),
    ),
  );
  const dominants = await Promise.all(
    jobs.map(async (jobId, seed) => {
      const { output } = await rig.posted(jobId);
      const loaded = output?.images?.find(({ filename }) => filename.startsWith(`leased${seed}`));
      return (await sharp(Buffer.from(loaded?.data ?? '', 'base64')).stats()).dominant;
    }),
  );
  expect(dominants[0]?.r).toBeGreaterThan(dominants[0]?.b ?? 0);
  expect(dominants[1]?.b).toBeGreaterThan(dominants[1]?.r ?? 0);
});
