import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import { loading, startRig, type Posted, type Rig, type RigOptions } from './rigs/test-rig.ts';

/** Names of input files and models that a workflow spells otherwise than ComfyUI. */

const RED = [255, 0, 0];
const BLUE = [0, 0, 255];
const png = ([r = 0, g = 0, b = 0]: readonly number[]) =>
  sharp({ create: { width: 8, height: 8, channels: 3, background: { r, g, b } } })
    .png()
    .toBuffer();

/** The images of a job: all red. */
const named = async (...names: readonly string[]) => {
  const image = (await png(RED)).toString('base64');
  return names.map((name) => ({ name, image }));
};

/** A file that ComfyUI has already. */
async function place(rig: Rig, path: string, colour: readonly number[]): Promise<void> {
  const file = join(rig.comfy.folders.input, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, await png(colour));
}

const inputs = async (rig: Rig) => {
  const entries = await readdir(rig.comfy.folders.input, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const root = rig.comfy.folders.input;
  return files.map(({ parentPath, name }) => join(parentPath, name).slice(root.length + 1)).sort();
};

type Result = Posted & { readonly output?: { readonly notes?: readonly string[] } };

async function load(rig: Rig, value: string, sent: readonly string[]): Promise<Result> {
  const images = await named(...sent);
  return rig.run({ workflow: loading(value), images, output: { details: true } });
}

async function colourOf({ output, error }: Posted): Promise<number[] | string> {
  if (error !== undefined) return error;
  const bytes = Buffer.from(output?.images?.[0]?.data ?? '', 'base64');
  return [...(await sharp(bytes).removeAlpha().raw().toBuffer()).subarray(0, 3)];
}

const changed = (from: string, to: string) =>
  `Node 1 (LoadImage): image ${JSON.stringify(from)} was changed to ${JSON.stringify(to)}`;

test.each([
  ['pasted/a.png', 'pasted/a.png', 'pasted/a.png'],
  ['clipspace/deep/x.png', 'clipspace/deep/x.png', 'clipspace/deep/x.png'],
  ['clipspace/x.png [input]', 'clipspace/x.png [input]', 'clipspace/x.png'],
  ['clipspace/x.png', 'clipspace/x.png [input]', 'clipspace/x.png'],
  ['x.png [input]', 'x.png', 'x.png'],
  ['./x.png', 'x.png', 'x.png'],
])(
  'an image sent as %j is found by a loader of %j, which stays as it is',
  async (sent, value, stored) => {
    await using rig = await startRig();
    const result = await load(rig, value, [sent]);
    expect(await colourOf(result)).toEqual(RED);
    expect(await inputs(rig)).toEqual([stored]);
    expect(result.output?.notes).toBeUndefined();
  },
);

test.each([
  ['a case', 'Photo.PNG', 'photo.png', 'Photo.PNG'],
  ['%20', 'my photo.png', 'my%20photo.png', 'my photo.png'],
  ['a space', 'my%20photo.png', 'my photo.png', 'my%20photo.png'],
  ['a decomposed letter', 'b\u00e4r.png', 'ba\u0308r.png', 'b\u00e4r.png'],
  ['a composed letter', 'ba\u0308r.png', 'b\u00e4r.png', 'ba\u0308r.png'],
  ['a backslash', 'pasted/a.png', 'pasted\\a.png', 'pasted/a.png'],
  ['a folder of Windows', 'pasted\\a.png', 'pasted\\a.png', 'pasted/a.png'],
  ['a temporary folder', 'a.png [temp]', 'a.png [temp]', 'a.png'],
])('a loader that differs from the sent image by %s loads it', async (_, sent, value, stored) => {
  await using rig = await startRig();
  const result = await load(rig, value, [sent]);
  expect(await colourOf(result)).toEqual(RED);
  expect(await inputs(rig)).toEqual([stored]);
  expect(result.output?.notes).toEqual([changed(value, stored)]);
});

test.each([
  ['we"ird.png', 'we%22ird.png'],
  ['/a.png', 'a.png'],
  ['//pasted/a.png', 'pasted/a.png'],
])('a loader of %j follows the name under which ComfyUI stores it: %j', async (sent, stored) => {
  await using rig = await startRig({ environment: { CLEANUP: 'auto' } });
  const result = await load(rig, sent, [sent]);
  expect(await colourOf(result)).toEqual(RED);
  expect(result.output?.notes).toEqual([changed(sent, stored)]);
  expect(await inputs(rig)).toEqual([]);
});

test('a file that ComfyUI has is loaded although an image with a similar name was sent', async () => {
  await using rig = await startRig();
  await place(rig, 'A.png', BLUE);
  const result = await load(rig, 'A.png', ['a.png']);
  expect(await colourOf(result)).toEqual(BLUE);
  expect(result.output?.notes).toEqual(['No node names these files that were sent: a.png']);
});

test('a file that ComfyUI has in a folder is loaded, and one with a similar name is', async () => {
  await using rig = await startRig();
  await place(rig, 'pasted/a.png', BLUE);
  await place(rig, 'My Photo.png', BLUE);
  expect(await colourOf(await load(rig, 'pasted/a.png', []))).toEqual(BLUE);
  const result = await load(rig, 'my%20photo.png', []);
  expect(await colourOf(result)).toEqual(BLUE);
  expect(result.output?.notes).toEqual([changed('my%20photo.png', 'My Photo.png')]);
});

test('a sent image comes before a file of ComfyUI with a similar name', async () => {
  await using rig = await startRig();
  await place(rig, 'A.png', BLUE);
  expect(await colourOf(await load(rig, 'a.PNG', ['a.png']))).toEqual(RED);
});

test.each([
  ['photo.png', [], 'no file came with the job; did you mean photos.png?'],
  [
    'photo.png',
    ['photo2.png', 'cat.png'],
    'sent with the job: photo2.png, cat.png; did you mean photo2.png, photos.png?',
  ],
  ['a.PNG', ['a.png', 'A.png'], 'sent with the job: a.png, A.png; did you mean a.png, A.png?'],
  ['pasted/cat.png', ['dog.png'], 'sent with the job: dog.png'],
])(
  'a loader of %j, with %j sent, fails the job and says what was sent and what is near',
  async (value, sent, known) => {
    await using rig = await startRig();
    await place(rig, 'photos.png', BLUE);
    const { error } = await load(rig, value, sent);
    expect(error?.split('\n\n')[0]).toBe(
      `Workflow validation failed:\n• Node 1 (LoadImage): image: Invalid image file: ${value}; ${known}`,
    );
    expect(error).toContain(
      `not available on this worker:\n• ${value} (image of node 1, LoadImage)`,
    );
  },
);

test('a loader that names nothing fails the job before it runs, and says what was sent', async () => {
  await using rig = await startRig();
  const { error } = await load(rig, '', ['cat.png']);
  expect(error).toBe(
    'Workflow validation failed:\n• Node 1 (LoadImage): image: Invalid image file: (no name); sent with the job: cat.png',
  );
});

test('an image that no node uses is a note and a line of the log, never an error', async () => {
  await using rig = await startRig();
  const images = await named('a.png', 'pasted/b.png', 'c.png');
  const titled = { ...loading('a.png'), '9': { class_type: 'PrimitiveString', inputs: {} } };
  const workflow = { ...titled, '9': { ...titled['1'], _meta: { title: 'reads c.png by text' } } };
  const note = 'No node names these files that were sent: pasted/b.png';
  const result: Result = await rig.run({ workflow, images, output: { details: true } });
  expect(result.error).toBeUndefined();
  expect(result.output?.notes).toEqual([note]);
  expect(rig.lines).toContainEqual(expect.objectContaining({ level: 'INFO', note }));
  const plain: Result = await rig.run({ workflow, images });
  expect(plain.output).not.toHaveProperty('notes');
});

const modelRig = (options: RigOptions['environment'] = {}) =>
  startRig({
    comfy: { models: { checkpoints: ['SDXL/base.safetensors', 'v1.ckpt', 'V1.ckpt'] } },
    environment: options,
  });
const checkpoint = (name: string) => ({
  '4': { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: name } },
  '5': { class_type: 'EmptyLatentImage', inputs: { width: 64, height: 64, batch_size: 1 } },
  '8': { class_type: 'VAEDecode', inputs: { samples: ['5', 0], vae: ['4', 2] } },
  '9': { class_type: 'SaveImage', inputs: { images: ['8', 0], filename_prefix: 'M' } },
});

test.each(['SDXL\\base.safetensors', 'sdxl/Base.safetensors', 'SDXL/base.safetensors'])(
  'a model written as %j is found as SDXL/base.safetensors',
  async (name) => {
    await using rig = await modelRig();
    const result: Result = await rig.run({
      workflow: checkpoint(name),
      output: { details: true },
    });
    expect(result.error).toBeUndefined();
    const note = `Node 4 (CheckpointLoaderSimple): ckpt_name ${JSON.stringify(name)} was changed to "SDXL/base.safetensors"`;
    expect(result.output?.notes).toEqual(name === 'SDXL/base.safetensors' ? undefined : [note]);
  },
);

test('a model that could be either of two is not guessed', async () => {
  await using rig = await modelRig();
  expect((await rig.run({ workflow: checkpoint('v1.CKPT') })).error).toMatch(
    /^Workflow validation failed:\n• Node 4 \(CheckpointLoaderSimple\): ckpt_name "v1\.CKPT" is not installed/,
  );
});

test('an option that is an example of an API console is noted, also beside the input', async () => {
  await using rig = await startRig();
  const s3Config = { accessId: 'string', accessSecret: 'string', bucketName: 'string' };
  const input = { workflow: loading('a.png'), images: await named('a.png'), s3Config };
  const result: Result = await rig.run({ ...input, output: { details: true } }, { s3Config: [] });
  expect(result.error).toBeUndefined();
  expect(result.output?.notes).toEqual([
    'input.s3Config is empty or an example, and counts as not given',
    's3Config is empty or an example, and counts as not given',
  ]);
});
