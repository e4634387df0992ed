import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import { loading, pictures, sampling, startRig } from './rigs/test-rig.ts';

const red = { create: { width: 8, height: 8, channels: 3, background: 'red' } } as const;
const redPng = () => sharp(red).png().toBuffer();

test('a workflow runs and its images come back, as base64 of exactly the bytes ComfyUI has', async () => {
  await using rig = await startRig();
  const { output, error } = await rig.run({ workflow: pictures({ count: 2 }) });
  expect(error).toBeUndefined();
  expect(output?.images?.map(({ filename, type }) => [filename, type])).toEqual([
    ['T_00001_.png', 'base64'],
    ['T_00002_.png', 'base64'],
  ]);
  const seen = await fetch(`${rig.comfy.url}/view?filename=T_00002_.png&subfolder=&type=output`);
  const bytes = Buffer.from(await seen.arrayBuffer());
  expect(output?.images?.[1]?.data).toBe(bytes.toString('base64'));
});

test('an input image is uploaded before the workflow runs, and the workflow reads it', async () => {
  await using rig = await startRig();
  const image = `data:image/png;base64,${(await redPng()).toString('base64')}`;
  const { output } = await rig.run({
    workflow: loading('in.png'),
    images: [{ name: 'in.png', image }],
  });
  const made = Buffer.from(output?.images?.[0]?.data ?? '', 'base64');
  const { dominant } = await sharp(made).stats();
  expect(dominant.r).toBeGreaterThan(200);
  expect(dominant.g).toBeLessThan(50);
});

test('node ids, seeds and floats reach ComfyUI as they were sent', async () => {
  await using rig = await startRig();
  const workflow =
    '{"12":{"class_type":"SaveImage","inputs":{"images":["3",0],"filename_prefix":"x"}},' +
    '"3":{"class_type":"ProbeSampler","inputs":{"image":["1",0],"steps":1,"step_ms":0,"seed":7},"_meta":{"seed":18446744073709551615}},' +
    '"1":{"class_type":"EmptyImage","inputs":{"width":8,"height":8,"batch_size":1,"color":0},"_meta":{"weight":1.0,"e":1e3}}}';
  rig.platform.submitText(`{"id":"lossless","input":{"workflow":${workflow}}}`);
  expect(await rig.posted('lossless')).toMatchObject({ output: {} });
  const history = await (await fetch(`${rig.comfy.url}/history?max_items=1`)).text();
  expect(history.replace(/\s/g, '')).toContain(workflow.slice(1, 60));
  expect(history).toContain('18446744073709551615');
  expect(history.replace(/\s/g, '')).toContain('"weight":1.0');
});

test('the input may be a string of JSON', async () => {
  await using rig = await startRig();
  const { output } = await rig.run(JSON.stringify({ workflow: pictures() }));
  expect(output?.images).toHaveLength(1);
});

test('a workflow that only previews is a success without images', async () => {
  await using rig = await startRig();
  const workflow = pictures();
  workflow['2'].class_type = 'PreviewImage';
  const { jobId, body } = await runText(rig, { workflow });
  expect(jobId).toBeTruthy();
  expect(body).toBe('{"output":{"status":"success_no_images","images":[]}}');
});

test('a node that raises after another node has saved: the image and the error are returned', async () => {
  await using rig = await startRig();
  const { output, error } = await rig.run({
    workflow: {
      ...pictures(),
      '4': { class_type: 'ProbeFail', inputs: { image: ['2x', 0], message: 'late boom' } },
      '2x': {
        class_type: 'ProbeSampler',
        inputs: { image: ['1', 0], steps: 1, step_ms: 0, seed: 1 },
      },
      '5': { class_type: 'SaveImage', inputs: { images: ['4', 0], filename_prefix: 'never' } },
    },
  });
  expect(error).toBeUndefined();
  expect(output?.images).toHaveLength(1);
  expect(output?.errors).toEqual([
    'Workflow execution error: Node Type: ProbeFail, Node ID: 4, Message: late boom\n',
  ]);
});

test('a node that raises before anything was saved: the job fails with details', async () => {
  await using rig = await startRig();
  const workflow = {
    '1': { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: 0 } },
    '2': { class_type: 'ProbeFail', inputs: { image: ['1', 0], message: 'boom' } },
    '3': { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'x' } },
  };
  const { body } = await runText(rig, { workflow });
  expect(body).toMatch(
    /^\{"output":\{"details":\["Workflow execution error: Node Type: ProbeFail, Node ID: 2, Message: boom\\n"\],"failure":\{"code":"comfy\.execution_failed",.*\}\},"error":"Job processing failed"\}$/,
  );
});

test('a workflow that ComfyUI accepts in part: errors say which part did not run', async () => {
  await using rig = await startRig();
  const { output } = await rig.run({
    workflow: {
      ...pictures(),
      '9': { class_type: 'SaveImage', inputs: { filename_prefix: 'none' } },
    },
  });
  expect(output?.images).toHaveLength(1);
  expect(output?.errors?.join()).toMatch(/Node 9 .*SaveImage.*images/);
});

test('an interrupted prompt is a failure, with the saved files beside the error', async () => {
  await using rig = await startRig({ comfy: { speed: 1 } });
  const jobId = rig.platform.submit({
    workflow: { ...pictures({ prefix: 'early' }), ...rename(sampling({ steps: 500, stepMs: 20 })) },
  });
  const { promptId } = await rig.comfy.waitFor({ type: 'progress' });
  await fetch(`${rig.comfy.url}/interrupt`, {
    method: 'POST',
    body: JSON.stringify({ prompt_id: promptId }),
  });
  const { output, error } = await rig.posted(jobId);
  expect(error).toBe('Workflow execution interrupted: Node Type: ProbeSampler, Node ID: s2');
  expect(output?.images?.map(({ filename }) => filename)).toEqual(['early_00001_.png']);
});

test.each([
  [null, 'Please provide input'],
  ['{oops', 'Invalid JSON format in input'],
  [[1], 'Invalid JSON format in input'],
  [{}, "Missing 'workflow' parameter"],
  [
    { workflow: {}, images: [null] },
    "'images' must be a list of objects with 'name' and 'image' keys",
  ],
])('the input %j is refused even while ComfyUI is down', async (input, message) => {
  await using rig = await startRig();
  await rig.comfy.faults.die();
  const { body } = await runText(rig, input);
  expect(JSON.parse(body)).toEqual({ error: message });
});

test('all images that cannot be decoded are named, in input order, and the others are uploaded', async () => {
  await using rig = await startRig();
  const good = (await redPng()).toString('base64');
  const { output, error } = await rig.run({
    workflow: loading('good.png'),
    images: [
      { name: 'a.png', image: '!!!' },
      { name: 'good.png', image: good },
      { name: 7, image: good },
      { name: 'b.png', image: 'abc' },
      { name: 'c.png', image: null },
      { name: '../out.png', image: good },
    ],
  });
  expect(error).toBe('Failed to upload one or more input images');
  expect(output?.details).toEqual([
    'Error decoding base64 for a.png: Character "!" at position 1 of 3 is not base64',
    'Unexpected error uploading 7: Expected name to be a non-empty string, got 7',
    'Error decoding base64 for b.png: Incorrect padding (the text ends after 3 characters; is it cut off?)',
    'Unexpected error uploading c.png: Expected image to be a base64 string, got null',
    `Error uploading ../out.png: 400 Client Error: Bad Request for url: ${rig.comfy.url}/upload/image`,
  ]);
  const view = await fetch(`${rig.comfy.url}/view?filename=good.png&type=input`);
  expect(view.status).toBe(200);
});

test('a rejected workflow is explained in sentences', async () => {
  await using rig = await startRig({ comfy: { models: { checkpoints: ['sdxl.safetensors'] } } });
  const { error } = await rig.run({
    workflow: {
      '4': { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'nope.safetensors' } },
      '5': { class_type: 'EmptyLatentImage', inputs: { width: 64, height: 64, batch_size: 1 } },
      '8': { class_type: 'VAEDecode', inputs: { samples: ['5', 0], vae: ['4', 2] } },
      '9': { class_type: 'SaveImage', inputs: { images: ['8', 0], filename_prefix: 'x' } },
    },
  });
  expect(error).toMatch(/^Workflow validation failed:\n• Node 4 \(CheckpointLoaderSimple/);
  expect(error).toContain('ckpt_name "nope.safetensors"');
  expect(error).toMatch(/\n\nAvailable checkpoint models: sdxl\.safetensors$/);
  expect(error).not.toMatch(/'|Traceback|None/);
});

test('a ComfyUI that never answers fails the job after the configured retries, with the text clients know', async () => {
  await using rig = await startRig({ environment: { COMFY_API_AVAILABLE_MAX_RETRIES: '3' } });
  await rig.comfy.faults.die();
  const host = new URL(rig.comfy.url).host;
  expect(await rig.run({ workflow: pictures() })).toEqual({
    error: `ComfyUI server (${host}) not reachable after multiple retries.`,
  });
});

test('a result over the limit fails with its size and the settings that help', async () => {
  await using rig = await startRig({ environment: { RESULT_MAX_BYTES: '2000' } });
  const { error, output } = await rig.run({
    workflow: { ...sampling(), '1': pictures({ size: 128 })['1'] },
  });
  expect(output).toBeUndefined();
  expect(error).toMatch(/RESULT_MAX_BYTES/);
  expect(error).toMatch(/BUCKET_ENDPOINT_URL/);
});

test('progress names the node by its title, never falls, and never comes after the result', async () => {
  await using rig = await startRig({
    comfy: { speed: 1 },
    environment: { PROGRESS_INTERVAL_MS: '50' },
  });
  const jobId = rig.platform.submit({ workflow: sampling({ steps: 20, stepMs: 20 }) });
  await rig.posted(jobId);
  const progress = (rig.platform.job(jobId)?.posts ?? [])
    .map(
      ({ bodyText }) =>
        JSON.parse(bodyText) as { status?: string; output: Record<string, unknown> },
    )
    .filter(({ status }) => status === 'IN_PROGRESS')
    .map(({ output }) => output);
  expect(progress.length).toBeGreaterThan(1);
  expect(progress).toContainEqual(
    expect.objectContaining({ node: '2', nodeTitle: 'The slow one', steps: 20 }),
  );
  const percents = progress.map(({ percent }) => Number(percent));
  expect(percents).toEqual([...percents].sort((a, b) => a - b));
});

test('a job logs about six lines, all with its id and without its content', async () => {
  await using rig = await startRig();
  const secret = (await redPng()).toString('base64');
  const jobId = rig.platform.submit({
    workflow: loading('private.png'),
    images: [{ name: 'private.png', image: secret }],
    comfy_org_api_key: 'sk-secret',
  });
  await rig.posted(jobId);
  rig.jobs.worker.finish();
  await rig.jobs.worker.done;
  const told = rig.lines.filter(({ level, requestId }) => level === 'INFO' && requestId === jobId);
  expect(told.length).toBeGreaterThanOrEqual(4);
  expect(told.length).toBeLessThanOrEqual(7);
  expect(JSON.stringify(rig.lines)).not.toContain(secret.slice(0, 40));
  expect(JSON.stringify(rig.lines)).not.toContain('sk-secret');
});

async function runText(rig: Awaited<ReturnType<typeof startRig>>, input: unknown) {
  const jobId = rig.platform.submit(input);
  return { jobId, body: (await rig.platform.result(jobId)).bodyText };
}

/** The same workflow with other node ids. */
function rename(workflow: Record<string, { inputs: object }>): Record<string, unknown> {
  const text = JSON.stringify(workflow);
  const ids = Object.keys(workflow);
  const renamed = ids.reduce(
    (sum, id) => sum.replaceAll(`"${id}":{`, `"s${id}":{`).replaceAll(`["${id}",`, `["s${id}",`),
    text,
  );
  return JSON.parse(renamed) as Record<string, unknown>;
}

test('all unknown nodes of a workflow are named, after the text clients look for', async () => {
  await using rig = await startRig();
  const { error } = await rig.run({
    workflow: {
      ...pictures(),
      '5': { class_type: 'Nope', inputs: {} },
      '6': { class_type: 'SaveImag', inputs: {} },
    },
  });
  expect(error).toMatch(/^Cannot execute because node Nope does not exist:\n• Node 5/);
  expect(error).toMatch(/\n• Node 6 .*SaveImage/);
});

test('a workflow without outputs is refused with the text clients look for', async () => {
  await using rig = await startRig();
  expect((await rig.run({ workflow: { '1': pictures()['1'] } })).error).toMatch(
    /^Prompt has no outputs/,
  );
  expect((await rig.run({ workflow: {} })).error).toMatch(/^Prompt has no outputs/);
});

test('overrides set inputs by title, and the result tells a random seed', async () => {
  await using rig = await startRig();
  const { output, error } = await rig.run({
    workflow: sampling(),
    overrides: { 'The slow one.seed': 'randomize', '3.filename_prefix': 'over' },
  });
  expect(error).toBeUndefined();
  expect(output?.images?.[0]?.filename).toBe('over_00001_.png');
  expect(output).toMatchObject({
    randomized: { '2.seed': expect.stringMatching(/^\d+$/) as unknown },
  });
});
