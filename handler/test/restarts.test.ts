import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, jest, test } from '@jest/globals';
import { startComfySimulator } from '../../lib/simulator/comfy/simulator.ts';
import { GIVES_UP, startSupervised, through } from './rigs/supervised-rig.ts';
import { pictures } from './rigs/test-rig.ts';

/** Restarts on purpose, warm-ups, and starts that fail: with real processes. */

jest.setTimeout(90_000);

test.each([
  ['out of memory', 'CUDA out of memory. Tried to allocate 9.00 GiB', 1],
  ['a device in an error state', 'CUDA error: an illegal memory access was encountered', 2],
])('after %s the job is run once more', async (_, message, starts) => {
  await using rig = await startSupervised();
  const marker = join(rig.place.folder, 'marker');
  const workflow = through('ProbeFailOnce', { message, marker });
  const { output, error } = await rig.posted(rig.platform.submit({ workflow }));
  expect(error).toBeUndefined();
  expect(output).toMatchObject({ attempts: 2, images: [{ filename: 'T_00001_.png' }] });
  expect(rig.place.starts()).toHaveLength(starts);
});

test('without a usable device the job asks for a fresh machine, and the worker ends', async () => {
  await using rig = await startSupervised();
  const message = 'CUDA error: no CUDA-capable device is detected';
  const posted = await rig.posted(
    rig.platform.submit({ workflow: through('ProbeFail', { message }) }),
  );
  expect(posted).toMatchObject({ error: 'Job processing failed', stopPod: true });
  expect(await rig.ended).toBe(0);
});

test.each([
  ['COMFY_RESTART_AFTER_JOBS', '2'],
  ['COMFY_MAX_RSS_MB', '1'],
])('%s: ComfyUI is restarted between jobs, and no job notices', async (name, value) => {
  await using rig = await startSupervised({ [name]: value, JOB_PREFETCH: '1' });
  const jobIds = [1, 2, 3, 4].map((color) =>
    rig.platform.submit({ workflow: pictures({ color }) }),
  );
  for (const jobId of jobIds) {
    const { output, error } = await rig.posted(jobId);
    expect(error).toBeUndefined();
    expect(output?.images).toHaveLength(1);
    expect(output?.attempts).toBeUndefined();
  }
  await rig.logged('ComfyUI is restarted between jobs');
  while (rig.place.starts().length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(rig.log()).not.toContain('ComfyUI is down');
});

test('planned restarts of a ComfyUI that the worker does not start are an error at start', async () => {
  const unset = { COMFY_COMMAND: '', COMFY_ARGS: '' };
  await using rig = await startSupervised({ ...unset, COMFY_RESTART_AFTER_JOBS: '2' });
  expect(await rig.ended).toBe(1);
  expect(rig.log()).toContain('COMFY_RESTART_AFTER_JOBS need COMFY_COMMAND');
});

const WARM = { 'warm.json': JSON.stringify(pictures()), 'broken.json': '{"a": 1}' };

test('warm-up workflows run before the first job, and again after a restart', async () => {
  await using rig = await startSupervised({ WARMUP_WORKFLOW: 'warm.json, broken.json' }, WARM);
  const { output } = await rig.posted(rig.platform.submit({ workflow: pictures() }));
  expect(output?.images).toHaveLength(1);
  const log = rig.log();
  expect(log).toMatch(/cold start: .*, warm-up [\d.]+ s, ready after/);
  expect(log).toContain('A warm-up workflow failed; jobs are taken all the same');
  expect(log.indexOf('A warm-up workflow has run')).toBeLessThan(log.indexOf('Started.'));
  const [first = 0] = rig.place.starts();
  process.kill(first, 'SIGKILL');
  await rig.logged('ComfyUI is restarted');
  await rig.posted(rig.platform.submit({ workflow: pictures() }));
  expect(rig.log().split('A warm-up workflow has run')).toHaveLength(3);
});

test('with WARMUP_REQUIRED no job is taken after a warm-up that failed, and the worker ends', async () => {
  const settings = { WARMUP_WORKFLOW: 'broken.json', WARMUP_REQUIRED: 'true', ...GIVES_UP };
  await using rig = await startSupervised(settings, WARM);
  rig.platform.submit({ workflow: pictures() });
  expect(await rig.ended).toBe(1);
  expect(rig.platform.takes).toEqual([]);
  expect(rig.log()).toContain('The warm-up workflow broken.json failed');
});

test('an external ComfyUI is warmed up before the first job', async () => {
  await using comfy = await startComfySimulator();
  const folder = await mkdtemp(join(tmpdir(), 'warm-up-'));
  const file = join(folder, 'warm.json');
  await writeFile(file, WARM['warm.json']);
  const unset = { COMFY_COMMAND: '', COMFY_ARGS: '', COMFY_URL: comfy.url };
  await using rig = await startSupervised({ ...unset, WARMUP_WORKFLOW: file });
  await rig.posted(rig.platform.submit({ workflow: pictures() }));
  const log = rig.log();
  expect(log).toContain('A warm-up workflow has run');
  expect(log.indexOf('A warm-up workflow has run')).toBeLessThan(log.indexOf('Started.'));
  await rm(folder, { recursive: true });
});

test('a node pack that ends ComfyUI at its start twice is left out, and jobs that need it are told', async () => {
  const crash = `Traceback (most recent call last):
  File "/comfyui/main.py", line 180, in <module>
  File "FOLDER/custom_nodes/faces/__init__.py", line 3, in <module>
SystemError: initialization of onnx_cpp2py_export failed`;
  await using rig = await startSupervised({ COMFY_MAX_RESTARTS: '2' }, { 'crash.txt': crash });
  for (const pack of ['faces', 'other'])
    await mkdir(join(rig.place.folder, 'custom_nodes', pack), { recursive: true });
  await rig.place.write('custom_nodes/faces/nodes.py', 'NODE_CLASS_MAPPINGS = {"FaceSwap": 1}');
  const { error } = await rig.posted(rig.platform.submit({ workflow: through('FaceSwap', {}) }));
  expect(error).toContain('node FaceSwap does not exist');
  expect(error).toContain(
    'FaceSwap belongs to a node pack that failed to load:\n• faces: it ended ComfyUI at its start and was left out; SystemError: initialization of onnx_cpp2py_export failed',
  );
  expect(rig.place.starts()).toHaveLength(3);
});
