import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import type { Group } from '../outputs/group-outputs.ts';
import { pictures, sampling, startRig } from './rigs/test-rig.ts';

/** The options of `input.output`, tested through the whole line with the embedded ComfyUI. */

interface Item {
  readonly filename: string;
  readonly data: string;
  readonly [detail: string]: unknown;
}

interface Made {
  readonly error?: string;
  readonly output?: Partial<Record<Group | 'texts', readonly Item[]>> & {
    readonly details?: readonly string[];
    readonly errors?: readonly string[];
    readonly timings?: Readonly<Record<string, unknown>>;
    readonly versions?: Readonly<Record<string, string>>;
  };
}

type Rig = Awaited<ReturnType<typeof startRig>>;

/** Two images, a video as VideoHelperSuite lists it, a text and a preview. */
function mixed() {
  return {
    ...pictures({ count: 2 }),
    '3': {
      class_type: 'ProbeVideo',
      inputs: { image: ['1', 0], filename_prefix: 'clip' },
      _meta: { title: 'Make the clip' },
    },
    '4': { class_type: 'ProbeText', inputs: { text: 'a caption' } },
    '5': {
      class_type: 'PreviewImage',
      inputs: { images: ['1', 0] },
      _meta: { title: 'Make the clip' },
    },
  };
}

async function run(
  rig: Rig,
  output: object | undefined,
  workflow: object = mixed(),
): Promise<Made> {
  return await rig.run({ workflow, ...(output ? { output } : {}) });
}

const names = (items: readonly Item[] | undefined) => items?.map(({ filename }) => filename);

test('images, a video and a text come back, each in its own list', async () => {
  await using rig = await startRig();
  const { output, error } = await run(rig, undefined);
  expect(error).toBeUndefined();
  expect(names(output?.images)).toEqual(['T_00001_.png', 'T_00002_.png']);
  expect(output?.videos).toEqual([
    {
      filename: 'clip_00001.mp4',
      type: 'base64',
      data: Buffer.from('not really a video').toString('base64'),
    },
  ]);
  expect(output?.texts).toEqual([{ nodeId: '4', key: 'text', text: 'a caption' }]);
  expect(output).not.toHaveProperty('audio');
  expect(output).not.toHaveProperty('errors');
});

/** ComfyUI's own SaveVideo shows its file under `images`. */
function filming() {
  return {
    '1': pictures({ count: 2 })['1'],
    '2': { class_type: 'CreateVideo', inputs: { images: ['1', 0], fps: 4 } },
    '3': {
      class_type: 'SaveVideo',
      inputs: { video: ['2', 0], filename_prefix: 'film', format: 'auto', codec: 'auto' },
    },
  };
}

test('a video that ComfyUI lists as an image stays in images, unless files are grouped by media type', async () => {
  await using rig = await startRig();
  const asEver = await run(rig, undefined, filming());
  expect(names(asEver.output?.images)).toEqual(['film_00001_.mp4']);
  expect(Object.keys(asEver.output ?? {})).toEqual(['images']);
  const sorted = await run(rig, { groupBy: 'mediaType' }, filming());
  expect(sorted.output).toMatchObject({ images: [], videos: [{ filename: 'film_00001_.mp4' }] });
});

test('nodes are chosen by id or title, and previews are returned on request', async () => {
  await using rig = await startRig();
  const byId = await run(rig, { nodes: [2] });
  expect(Object.keys(byId.output ?? {})).toEqual(['images']);
  const byTitle = await run(rig, { nodes: ['Make the clip'] });
  expect(byTitle.output).toMatchObject({ images: [], videos: [{ filename: 'clip_00001.mp4' }] });
  const previews = await run(rig, { nodes: ['5'], includeTemp: true });
  expect(names(previews.output?.images)?.[0]).toMatch(/^ComfyUI_temp_/);
});

test('an unknown node fails the job before anything runs, with a list of all nodes', async () => {
  await using rig = await startRig();
  const { error } = await run(rig, { nodes: ['2', 'Make the film'] });
  expect(error).toMatch(/^output\.nodes asks for "Make the film", which is neither/);
  expect(error).toContain('\n  3 (ProbeVideo "Make the clip")');
  const history = await fetch(`${rig.comfy.url}/history`);
  expect(await history.json()).toEqual({});
});

test('details describe each file and the times of the job', async () => {
  await using rig = await startRig();
  const first = await run(rig, { details: true });
  expect(first.output?.images?.[0]).toMatchObject({
    nodeId: '2',
    subfolder: '',
    mediaType: 'image/png',
    width: 32,
    height: 32,
  });
  const [video] = first.output?.videos ?? [];
  expect(video).toEqual({
    filename: 'clip_00001.mp4',
    type: 'base64',
    data: expect.any(String),
    nodeId: '3',
    title: 'Make the clip',
    subfolder: '',
    mediaType: 'video/mp4',
    bytes: 18,
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  expect(first.output?.timings).toMatchObject({ start: 'cold', executingMs: expect.any(Number) });
  expect(Object.keys(first.output?.timings?.nodes ?? {})).toEqual(
    expect.arrayContaining(['1', '2']),
  );
  expect(first.output?.versions?.comfyui).toMatch(/^\d+\.\d+/);
  const second = await run(rig, { details: true });
  expect(second.output?.timings?.start).toBe('warm');
});

test('fewer outputs than expected are a failure that returns them', async () => {
  await using rig = await startRig();
  const { error, output } = await run(rig, { expect: { images: 3, videos: 1 } });
  expect(error).toBe(
    'Expected 3 images, 1 video; what came is 2 images (T_00001_.png, T_00002_.png), 1 video (clip_00001.mp4), 1 text (node 4)',
  );
  expect(output?.images).toHaveLength(2);
});

test('with strict a workflow that ComfyUI accepts in part fails, and nothing is run', async () => {
  await using rig = await startRig({ comfy: { speed: 1 } });
  const workflow = {
    ...sampling({ steps: 10_000, stepMs: 20 }),
    '9': { class_type: 'SaveImage', inputs: { filename_prefix: 'none' } },
  };
  const { error, output } = await run(rig, { strict: true }, workflow);
  expect(error).toMatch(/only a part of the workflow/);
  expect(output?.details?.join()).toMatch(/Node 9 .*SaveImage.*images/);
  expect((await run(rig, undefined, pictures())).output?.images).toHaveLength(1);
});

test('images are converted and scaled down, other files are unchanged', async () => {
  await using rig = await startRig();
  const convert = { format: 'webp', quality: 60, maxWidth: 16 };
  const { output, error } = await run(rig, { convert, details: true });
  expect(error).toBeUndefined();
  expect(names(output?.images)).toEqual(['T_00001_.webp', 'T_00002_.webp']);
  const [image] = output?.images ?? [];
  expect(image).toMatchObject({ mediaType: 'image/webp', width: 16, height: 16 });
  const made = Buffer.from(String(image?.data), 'base64');
  expect(await sharp(made).metadata()).toMatchObject({ format: 'webp', width: 16 });
  expect(output?.videos?.[0]?.filename).toBe('clip_00001.mp4');
});
