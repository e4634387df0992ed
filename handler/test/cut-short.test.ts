import { expect, test } from '@jest/globals';
import { pictures, sampling, startRig, type Posted } from './rigs/test-rig.ts';

/** Jobs whose prompt does not come to its end: what was made before is returned beside the error. */

/** Saves one image at once, and another one after a long time. */
const slow = (steps = 1000) => {
  const nodes = sampling({ steps, stepMs: 20 });
  return {
    ...nodes,
    '4': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'early' } },
  };
};

const imagesOf = ({ output }: Posted) => output?.images?.map(({ filename }) => filename);

test.each(['auto', 'never'])(
  'a job that runs out of time returns the images that were saved before (CLEANUP=%s)',
  async (CLEANUP) => {
    await using rig = await startRig({ comfy: { speed: 1 }, environment: { CLEANUP } });
    const posted = await rig.run({ workflow: slow() }, { policy: { executionTimeout: 2500 } });
    expect(posted.error).toMatch(/longer than 2\.5 s/);
    expect(imagesOf(posted)).toEqual(['early_00001_.png']);
    expect(posted.output?.details).toBeUndefined();
    expect(imagesOf(await rig.run({ workflow: pictures() }))).toEqual(['T_00001_.png']);
  },
);

test('a job that runs out of time while its files are fetched returns them with the error', async () => {
  await using rig = await startRig();
  rig.comfy.faults.failAnswers({ request: 'GET /view', how: 'delay', delayMs: 1500, times: 2 });
  const posted = await rig.run(
    { workflow: pictures({ count: 2 }) },
    { policy: { executionTimeout: 1000 } },
  );
  expect(posted.error).toMatch(/longer than 1 s/);
  expect(imagesOf(posted)).toEqual(['T_00001_.png', 'T_00002_.png']);
});

test('two restarts of ComfyUI in the middle of a job return the images that were saved before', async () => {
  await using rig = await startRig({
    comfy: { speed: 1 },
    environment: { CLEANUP: 'auto' },
    waitsForComfy: true,
  });
  const jobId = rig.platform.submit({ workflow: slow(), output: { details: true } });
  await rig.comfy.waitFor({ type: 'progress' });
  await rig.comfy.faults.restart();
  await rig.comfy.waitFor({ type: 'progress' }, { next: true, timeoutMs: 30_000 });
  await rig.comfy.faults.restart();
  const posted = await rig.posted(jobId);
  expect(posted.error).toBeTruthy();
  expect(posted.output).toMatchObject({ attempts: 2 });
  expect(posted.output?.failure?.code).toMatch(/^comfy\.(prompt_lost|socket_failed)$/);
  expect(posted.output?.images).toMatchObject([{ filename: 'early_00001_.png', subfolder: '' }]);
});

test('a node that kills ComfyUI costs only what it was to make: files saved just before are read from the disk', async () => {
  await using rig = await startRig({
    environment: { CLEANUP: 'auto', WEBSOCKET_RECONNECT_ATTEMPTS: '1' },
  });
  rig.comfy.faults.failAnswers({ request: 'GET /view', how: 'lose', times: 99 });
  const posted = await rig.run({
    workflow: {
      ...slow(),
      '2': {
        class_type: 'ProbeSampler',
        inputs: { image: ['1', 0], steps: 1, step_ms: 0, seed: 1 },
      },
      '5': { class_type: 'ProbeCrash', inputs: { image: ['2', 0] } },
      '3': { class_type: 'SaveImage', inputs: { images: ['5', 0], filename_prefix: 'never' } },
    },
  });
  expect(posted.error).toBeTruthy();
  expect(imagesOf(posted)).toEqual(['early_00001_.png']);
});

test('a job that runs out of time before anything was made fails with the error and where it stood', async () => {
  await using rig = await startRig({ comfy: { speed: 1 } });
  const posted = await rig.run(
    { workflow: sampling({ steps: 1000, stepMs: 20 }) },
    { policy: { executionTimeout: 1500 } },
  );
  expect(posted.error).toMatch(/longer than 1\.5 s/);
  expect(posted.error).toMatch(
    / while it ran, at node 2 \(The slow one\), step \d+ of 1000, \d+ %;/,
  );
  expect(posted.output).toEqual({
    failure: expect.objectContaining({
      code: 'job.timeout',
      node: '2',
      title: 'The slow one',
      activity: 'sampling',
      progress: { percent: expect.any(Number), step: expect.any(Number), steps: 1000 },
    }),
  });
});
