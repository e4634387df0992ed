import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import sharp from 'sharp';
import { openLiveComfy, type LiveComfy } from '../rigs/live-rig.ts';
import { loading, pictures } from '../rigs/test-rig.ts';

/** Files of ended jobs in the folders of any ComfyUI whose folders are on this disk. */

const live = await openLiveComfy();
const NEEDS = { folders: true };
const RUN = live.ownName;

async function png(): Promise<string> {
  const create = { width: 8, height: 8, channels: 3, background: 'red' } as const;
  return (await sharp({ create }).png().toBuffer()).toString('base64');
}

/** Everything in the folders of inputs and outputs. */
async function listing({ folders }: LiveComfy): Promise<readonly string[]> {
  const lists = [folders?.input, folders?.output].map(async (folder) => {
    const entries = await readdir(folder ?? '', { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((one) => join(one.parentPath, one.name));
  });
  return (await Promise.all(lists)).flat().sort();
}

const loaded = async (name: string) => ({
  workflow: loading(name, `${RUN}/saved`),
  images: [{ name, image: await png() }],
});

live.test(
  'a job that succeeds leaves no files, and files that were there before stay',
  async () => {
    const kept = join(live.folders?.input ?? '', `${RUN}-kept.png`);
    await writeFile(kept, Buffer.from(await png(), 'base64'));
    await using _removed = { [Symbol.asyncDispose]: () => rm(kept) };
    await using rig = await live.startRig({ CLEANUP: 'always' });
    const before = await listing(live);
    for (const name of [`${RUN}-a.png`, `${RUN}/deep/a.png`, `${RUN}-kept.png`]) {
      const posted = await rig.run(await loaded(name));
      expect(posted.output?.images).toMatchObject([{ filename: 'saved_00001_.png' }]);
      expect(await listing(live)).toEqual(before);
    }
  },
  NEEDS,
);

live.test(
  'a job that fails leaves no files',
  async () => {
    await using rig = await live.startRig({ CLEANUP: 'always' });
    const before = await listing(live);
    const job = await loaded(`${RUN}-b.png`);
    const { '2': saver } = pictures({ prefix: '../../../escaped' });
    const workflow = { ...job.workflow, '3': saver };
    const bad = { ...saver, inputs: { ...saver.inputs, images: ['1', 0] } };
    await rig.run({ ...job, workflow: { ...workflow, '3': bad } });
    await rig.run({ ...job, images: [...job.images, { name: 'b.png', image: '!' }] });
    expect(await listing(live)).toEqual(before);
  },
  NEEDS,
);

live.test(
  'a job that is stopped while it runs leaves no files',
  async () => {
    const before = await listing(live);
    await using rig = await live.startRig({ CLEANUP: 'always' });
    const job = await loaded(`${RUN}-c.png`);
    const slow = await live.slow(60);
    const saved = rig.relay.seen(/"type":\s*"executed"/);
    const early = JSON.parse(JSON.stringify(job.workflow).replaceAll('"1"', '"l"')) as object;
    const workflow = { ...slow, ...early };
    const jobId = rig.platform.submit({ ...job, workflow });
    await saved;
    expect(await listing(live)).toHaveLength(before.length + 2);
    rig.platform.stopJob(jobId);
    await rig.run({ workflow: pictures() });
    rig.jobs.worker.finish();
    await rig.jobs.worker.done;
    expect(await listing(live)).toEqual(before);
  },
  NEEDS,
);

live.test(
  'without a shared disk a job is not redirected',
  async () => {
    const elsewhere = { COMFY_OUTPUT_DIR: '/', COMFY_INPUT_DIR: '/' };
    await using rig = await live.startRig(elsewhere);
    const workflow = pictures({ prefix: `${RUN}/left` });
    const posted = await rig.run({ workflow, output: { details: true } });
    expect(posted.output?.images).toMatchObject([{ subfolder: RUN }]);
    const entry = await rig.ended(0);
    expect(entry.outputs).toMatchObject({ '2': { images: [{ subfolder: RUN }] } });
  },
  NEEDS,
);
