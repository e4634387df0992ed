import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import { fetch } from 'undici';
import {
  loading,
  pictures,
  sampling,
  startRig,
  type Rig,
  type RigOptions,
} from './rigs/test-rig.ts';

/** Removal of a job's files from ComfyUI's disk. The embedded ComfyUI shares the disk of the worker. */

const startCleaning = ({ environment, ...options }: RigOptions = {}) =>
  startRig({ ...options, environment: { CLEANUP: 'auto', ...environment } });

/** Files, not folders, below ComfyUI's output or input folder. */
async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
}

const inputsOf = (rig: Rig) => filesIn(rig.comfy.folders.input);
const outputsOf = (rig: Rig) => filesIn(rig.comfy.folders.output);

type Posted = Awaited<ReturnType<Rig['run']>>;

const namesIn = ({ output }: Posted) => output?.images?.map(({ filename }) => filename);

async function coloursIn({ output }: Posted): Promise<string[]> {
  const colours = (output?.images ?? []).map(async ({ data }) => {
    const pixels = await sharp(Buffer.from(data, 'base64')).removeAlpha().raw().toBuffer();
    return pixels.subarray(0, 3).toString('hex');
  });
  return Promise.all(colours);
}

async function png(background: string) {
  const bytes = await sharp({ create: { width: 8, height: 8, channels: 3, background } })
    .png()
    .toBuffer();
  return bytes.toString('base64');
}

test('the same workflow returns its image again although the files of the first job were removed', async () => {
  await using rig = await startCleaning();
  for (let times = 0; times < 3; times++) {
    const posted = await rig.run({ workflow: pictures({ color: 0xff0000 }) });
    expect(namesIn(posted)).toEqual(['T_00001_.png']);
    expect(await coloursIn(posted)).toEqual(['ff0000']);
    expect(await readdir(rig.comfy.folders.output)).toEqual(['jobs']);
    expect(await readdir(join(rig.comfy.folders.output, 'jobs'))).toEqual([]);
  }
  expect(rig.comfy.past({ type: 'request', request: 'POST /free' })).toEqual([]);
});

test('the same job on another worker of that ComfyUI returns the same bytes', async () => {
  await using one = await startCleaning();
  await using other = await startCleaning({ comfyUrl: one.comfy.url });
  const job = [{ workflow: pictures({ count: 2 }) }, { id: 'same' }] as const;
  const posted = await one.run(...job);
  expect(namesIn(posted)).toEqual(['T_00001_.png', 'T_00002_.png']);
  expect(await other.run(...job)).toEqual(posted);
  expect(one.comfy.past({ type: 'request', request: 'POST /free' })).toHaveLength(1);
  expect(await outputsOf(one)).toEqual([]);
});

test('only saving nodes run again; other results come from the cache', async () => {
  await using rig = await startCleaning();
  const workflow = sampling({ steps: 3 });
  await rig.run({ workflow });
  await rig.run({ workflow });
  expect(rig.comfy.past({ type: 'executing', nodeId: '2' })).toHaveLength(1);
  expect(rig.comfy.past({ type: 'executing', nodeId: '3' })).toHaveLength(2);
});

test('parallel jobs get their own images, under the names they would have alone', async () => {
  await using rig = await startCleaning({ environment: { JOB_CONCURRENCY: '3' } });
  const colours = ['ff0000', '00ff00', '0000ff', 'ff0000', '00ff00', '0000ff'];
  const posted = await Promise.all(
    colours.map((colour) => rig.run({ workflow: pictures({ color: parseInt(colour, 16) }) })),
  );
  expect(await Promise.all(posted.map(coloursIn))).toEqual(colours.map((colour) => [colour]));
  expect(posted.flatMap(namesIn)).toEqual(colours.map(() => 'T_00001_.png'));
  expect(await outputsOf(rig)).toEqual([]);
});

test('details show the subfolder of the original workflow', async () => {
  await using rig = await startCleaning();
  const subfolders = async (prefix: string) => {
    const posted = await rig.run({ workflow: pictures({ prefix }), output: { details: true } });
    return posted.output?.images;
  };
  expect(await subfolders('deep/er/T')).toMatchObject([
    { filename: 'T_00001_.png', subfolder: 'deep/er' },
  ]);
  expect(await subfolders('T')).toMatchObject([{ filename: 'T_00001_.png', subfolder: '' }]);
});

test('a prefix that leads out of the output folder is refused by ComfyUI', async () => {
  await using rig = await startCleaning();
  const { error } = await rig.run({ workflow: pictures({ prefix: '../../T' }) });
  expect(error).toBe('Job processing failed');
  expect(await outputsOf(rig)).toEqual([]);
});

test('CLEANUP=never: nothing is redirected or removed', async () => {
  await using rig = await startRig();
  const images = [{ name: 'in.png', image: await png('red') }];
  await rig.run({ workflow: loading('in.png'), images });
  expect(await readdir(rig.comfy.folders.output)).toEqual(['L_00001_.png']);
  expect(await inputsOf(rig)).toEqual(['in.png']);
});

/** Folders that ComfyUI does not see, as if it ran on another machine. */
const ELSEWHERE = { COMFY_OUTPUT_DIR: tmpdir(), COMFY_INPUT_DIR: tmpdir() };

test('CLEANUP=auto without a shared disk: nothing is redirected or removed', async () => {
  await using rig = await startCleaning({ environment: ELSEWHERE });
  const images = [{ name: 'in.png', image: await png('red') }];
  for (let times = 0; times < 2; times++) {
    const posted = await rig.run({ workflow: loading('in.png'), images });
    expect(namesIn(posted)).toEqual(['L_00001_.png']);
  }
  expect(await readdir(rig.comfy.folders.output)).toEqual(['L_00001_.png']);
  expect(await inputsOf(rig)).toEqual(['in.png']);
  expect(rig.comfy.past({ type: 'request', request: 'HEAD /view' })).toHaveLength(2);
});

test.each([
  ['output', { COMFY_OUTPUT_DIR: tmpdir() }, /output folder is on no disk.*COMFY_OUTPUT_DIR/],
  ['input', { COMFY_INPUT_DIR: tmpdir() }, /input folder is on no disk.*COMFY_INPUT_DIR/],
])('CLEANUP=always fails the job when the %s folder is not shared', async (_, env, text) => {
  await using rig = await startCleaning({ environment: { CLEANUP: 'always', ...env } });
  const images = [{ name: 'in.png', image: await png('red') }];
  const { error } = await rig.run({ workflow: loading('in.png'), images });
  expect(error).toMatch(text);
  expect(rig.comfy.prompts).toEqual([]);
});

test('input files of a job are removed with it, files that were there before are not', async () => {
  await using rig = await startCleaning({ environment: { CLEANUP: 'always' } });
  const { input } = rig.comfy.folders;
  await writeFile(join(input, 'baked.png'), Buffer.from(await png('blue'), 'base64'));
  const images = [
    { name: 'in.png', image: await png('red') },
    { name: 'baked.png', image: await png('red') },
  ];
  const files = [{ name: 'in.png', subfolder: 'deep', data: await png('red') }];
  for (const name of ['in.png', 'deep/in.png', 'baked.png']) {
    const posted = await rig.run({ workflow: loading(name), images, files });
    expect(await coloursIn(posted)).toEqual(['ff0000']);
    expect(await inputsOf(rig)).toEqual(['baked.png']);
  }
});

test('an input file that another job still reads is kept until that job has ended', async () => {
  await using rig = await startCleaning({
    comfy: { speed: 1 },
    environment: { JOB_CONCURRENCY: '2', JOB_PREFETCH: '1' },
  });
  const image = { name: 'in.png', image: await png('red') };
  const workflow = (ms: number) => ({
    '1': { class_type: 'LoadImage', inputs: { image: 'in.png' } },
    '2': { class_type: 'ProbeSleep', inputs: { image: ['1', 0], ms } },
    '3': { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'T' } },
  });
  const jobs = [10, 80, 40, 20].map((ms) => rig.run({ workflow: workflow(ms), images: [image] }));
  for (const posted of await Promise.all(jobs)) expect(await coloursIn(posted)).toEqual(['ff0000']);
  expect(await inputsOf(rig)).toEqual([]);
});

test('a failed job leaves no files', async () => {
  await using rig = await startCleaning();
  const workflow = {
    ...pictures(),
    '3': { class_type: 'ProbeFail', inputs: { image: ['1', 0], message: 'boom' } },
    '4': { class_type: 'SaveImage', inputs: { images: ['3', 0], filename_prefix: 'x' } },
  };
  await rig.run({ workflow, images: [{ name: 'in.png', image: await png('red') }] });
  const bad = [
    { name: 'in.png', image: await png('red') },
    { name: 'b.png', image: '!' },
  ];
  await rig.run({ workflow, images: bad });
  expect(await outputsOf(rig)).toEqual([]);
  expect(await inputsOf(rig)).toEqual([]);
});

test('a job stopped while it runs leaves no files', async () => {
  await using rig = await startCleaning({ comfy: { speed: 1 } });
  const slow = sampling({ steps: 1000, stepMs: 20 });
  const workflow = {
    ...slow,
    '4': { ...slow['3'], inputs: { images: ['1', 0], filename_prefix: 'early' } },
  };
  const images = [{ name: 'in.png', image: await png('red') }];
  const jobId = rig.platform.submit({ workflow, images });
  await rig.comfy.waitFor({ type: 'progress' });
  expect(await outputsOf(rig)).toEqual(['early_00001_.png']);
  expect(await inputsOf(rig)).toEqual(['in.png']);
  rig.platform.stopJob(jobId);
  const next = await rig.run({ workflow: pictures() });
  expect(namesIn(next)).toEqual(['T_00001_.png']);
  rig.jobs.worker.finish();
  await rig.jobs.worker.done;
  expect(await outputsOf(rig)).toEqual([]);
  expect(await inputsOf(rig)).toEqual([]);
});

test('links are not followed, and their targets are not removed', async () => {
  const elsewhere = await mkdtemp(join(tmpdir(), 'cleanup-'));
  await using _removed = { [Symbol.asyncDispose]: () => rm(elsewhere, { recursive: true }) };
  await using rig = await startCleaning();
  const { output, input } = rig.comfy.folders;
  await symlink(elsewhere, join(output, 'jobs'));
  await mkdir(join(elsewhere, 'in'));
  await symlink(join(elsewhere, 'in'), join(input, 'sub'));
  const files = [{ name: 'in.png', subfolder: 'sub', data: await png('red') }];
  const posted = await rig.run({ workflow: loading('sub/in.png'), files }, { id: 'linked' });
  expect(await coloursIn(posted)).toEqual(['ff0000']);
  expect((await filesIn(elsewhere)).sort()).toEqual(['L_00001_.png', 'in.png']);
  const warnings = rig.lines.filter(({ message }) => message.includes('could not be removed'));
  expect(warnings).toHaveLength(2);
});

/** A preview has no prefix that could be redirected, so it comes from the cache. */
const previewing = (color: number) => {
  const { '1': image } = pictures({ color });
  return { '1': image, '2': { class_type: 'PreviewImage', inputs: { images: ['1', 0] } } };
};
const INCLUDE_TEMP = { includeTemp: true };

async function removePreviews({ comfy }: Rig): Promise<void> {
  for (const name of await readdir(comfy.folders.temp)) await rm(join(comfy.folders.temp, name));
}

test('a cached file that is gone is made again, whatever CLEANUP is', async () => {
  await using rig = await startRig();
  const job = { workflow: previewing(0x00ff00), output: INCLUDE_TEMP };
  expect(await coloursIn(await rig.run(job))).toEqual(['00ff00']);
  await removePreviews(rig);
  const posted = await rig.run(job);
  expect(await coloursIn(posted)).toEqual(['00ff00']);
  expect(posted.output?.errors).toBeUndefined();
  expect(rig.comfy.prompts).toHaveLength(3);
  expect(rig.lines.map(({ message }) => message)).toContain(
    'A cached file is gone; the workflow is run again',
  );
});

test('a workflow is run again once at most', async () => {
  await using rig = await startRig();
  const job = { workflow: previewing(0x00ff00), output: INCLUDE_TEMP };
  await rig.run(job);
  rig.comfy.faults.failAnswers({ request: 'POST /free', how: 'refuse', status: 200, times: 9 });
  await removePreviews(rig);
  const { error } = await rig.run(job);
  expect(error).toBe('Job processing failed');
  expect(rig.comfy.prompts).toHaveLength(3);
});

test('while another prompt waits or runs, a missing file is reported and the cache is kept', async () => {
  await using rig = await startRig({ comfy: { speed: 1 } });
  const job = { workflow: previewing(0x00ff00), output: INCLUDE_TEMP };
  await rig.run(job);
  await removePreviews(rig);
  const letIn = rig.comfy.faults.delayHistory();
  const gone = rig.run(job);
  await rig.comfy.waitFor({ type: 'ended' }, { next: true });
  const body = JSON.stringify({
    prompt: sampling({ steps: 1000, stepMs: 20 }),
    client_id: 'other',
  });
  await fetch(`${rig.comfy.url}/prompt`, { method: 'POST', body });
  letIn();
  const { error, output } = await gone;
  expect(error).toBe('Job processing failed');
  expect(output?.details?.[0]).toContain('404 Client Error');
  expect(rig.comfy.past({ type: 'request', request: 'POST /free' })).toEqual([]);
  await fetch(`${rig.comfy.url}/interrupt`, { method: 'POST' });
});

test('for a workflow that saves nothing, ComfyUI is not asked for its folders', async () => {
  await using rig = await startCleaning();
  await rig.run({ workflow: previewing(0) });
  expect(rig.comfy.past({ type: 'request', request: 'GET /system_stats' })).toEqual([]);
  expect(await readdir(rig.comfy.folders.output)).toEqual([]);
});
