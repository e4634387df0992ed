import { expect, jest, test } from '@jest/globals';
import { PROBE_NODES } from '../../lib/simulator/comfy/testing/probe-nodes.ts';
import { startRig, sampling, pictures, type Posted } from './rigs/test-rig.ts';

/** `output.failure`: the report on a job whose prompt did not succeed. */

jest.setTimeout(30_000);

const failing = (message: string) => ({
  ...pictures(),
  '3': {
    class_type: 'ProbeFail',
    inputs: { image: ['1', 0], message },
    _meta: { title: 'The broken one' },
  },
  '2': { class_type: 'SaveImage', inputs: { images: ['3', 0], filename_prefix: 'T' } },
});

const failureOf = ({ output }: Posted) =>
  (output as { failure?: { log_tail?: string[] } & Record<string, unknown> } | undefined)?.failure;

test('a failed node is named, with lines of ComfyUI, versions and memory', async () => {
  await using rig = await startRig();
  const posted = await rig.run({ workflow: failing('no such tensor') });
  expect(posted.error).toBe('Job processing failed');
  expect(failureOf(posted)).toEqual({
    code: 'comfy.execution_failed',
    node: '3',
    title: 'The broken one',
    activity: expect.any(String),
    progress: expect.objectContaining({ percent: expect.any(Number) }),
    log_tail: expect.arrayContaining(['!!! Exception during processing !!! no such tensor']),
    versions: {
      worker: expect.any(String),
      comfyui: '0.33.0',
      python: expect.any(String),
      pytorch: expect.any(String),
    },
    memory: expect.objectContaining({ ram_total: expect.any(Number) }),
  });
});

test('lines of an earlier prompt are not in the report', async () => {
  await using rig = await startRig();
  await rig.run({ workflow: failing('a secret of the first caller') });
  const second = failureOf(await rig.run({ workflow: failing('of the second') }));
  expect(second?.log_tail).toContain('!!! Exception during processing !!! of the second');
  expect(JSON.stringify(second)).not.toContain('first caller');
});

test('no lines are shown when another prompt was in ComfyUI meanwhile', async () => {
  await using rig = await startRig({
    comfy: { speed: 1 },
    environment: { JOB_PREFETCH: '1' },
  });
  const first = rig.platform.submit(
    { workflow: sampling({ steps: 1000, stepMs: 20 }) },
    { policy: { executionTimeout: 1500 } },
  );
  await rig.comfy.waitFor({ type: 'progress' });
  rig.platform.submit({ workflow: failing('of another caller') });
  const report = failureOf(await rig.posted(first));
  expect(report).toMatchObject({ code: 'job.timeout', node: '2' });
  expect(report).not.toHaveProperty('log_tail');
});

test('a prompt of somebody else that ComfyUI refuses meanwhile hides the lines as well', async () => {
  await using rig = await startRig({ comfy: { speed: 1 } });
  const jobId = rig.platform.submit({
    workflow: sampling({ steps: 1000, stepMs: 20 }),
    timeout_s: 1,
  });
  await rig.comfy.waitFor({ type: 'progress' });
  await fetch(`${rig.comfy.url}/prompt`, {
    method: 'POST',
    body: JSON.stringify({ prompt: { 1: { class_type: 'NotMine', inputs: {} } } }),
  });
  expect(failureOf(await rig.posted(jobId))).not.toHaveProperty('log_tail');
});

test('FAILURE_LOG_TAIL=0 shows no lines', async () => {
  await using rig = await startRig({ environment: { FAILURE_LOG_TAIL: '0' } });
  const report = failureOf(await rig.run({ workflow: failing('x') }));
  expect(report).toMatchObject({ code: 'comfy.execution_failed' });
  expect(report).not.toHaveProperty('log_tail');
});

test('lines show no folders, no keys and no more than 50 lines and 4 kB', async () => {
  await using rig = await startRig();
  const lines = Array.from({ length: 200 }, (_, line) => `line ${line} ${'.'.repeat(100)}`);
  const message = [
    ...lines,
    'cannot open /srv/models/a.bin with api_key=abcdef123456',
    'GET https://user:pass@example.com/a.bin?token=t0p failed for comfyui-private-key-1',
  ].join('\n');
  const workflow = failing(message);
  const posted = await rig.run({ workflow, comfy_org_api_key: 'comfyui-private-key-1' });
  const tail = failureOf(posted)?.log_tail ?? [];
  expect(tail.length).toBeGreaterThan(10);
  expect(tail.length).toBeLessThanOrEqual(50);
  expect(Buffer.byteLength(tail.join('\n'))).toBeLessThanOrEqual(4096);
  expect(tail).toContain('cannot open a.bin with api_key=[redacted]');
  expect(tail).toContain('GET https://example.com/a.bin failed for [redacted]');
});

test('a job that ComfyUI never got has its error alone, as from the Python worker', async () => {
  await using rig = await startRig();
  expect(await rig.run({})).toEqual({ error: "Missing 'workflow' parameter" });
});

test('timeout_s of the input limits a job, and a wrong one is refused', async () => {
  await using rig = await startRig({ comfy: { speed: 1 } });
  const workflow = sampling({ steps: 1000, stepMs: 20 });
  const posted = await rig.run({ workflow, timeout_s: 0.5 });
  expect(posted.error).toMatch(/^Job took longer than 0\.5 s and was stopped /);
  await rig.comfy.waitFor({ type: 'execution_interrupted' });
  expect((await rig.run({ workflow, timeout_s: -1 })).error).toMatch(/^input\.timeout_s: /);
});

test('a node without progress is reported as loading or silent, not as sampling', async () => {
  await using rig = await startRig({ comfy: { speed: 1, nodes: PROBE_NODES } });
  const workflow = {
    ...pictures(),
    '3': { class_type: 'ProbeSleep', inputs: { image: ['1', 0], ms: 1500 } },
    '2': { class_type: 'SaveImage', inputs: { images: ['3', 0], filename_prefix: 'T' } },
  };
  const posted = await rig.run({ workflow, timeout_s: 0.5 });
  expect(failureOf(posted)).toMatchObject({ node: '3', title: 'ProbeSleep', activity: 'loading' });
});
