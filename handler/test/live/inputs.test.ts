import { expect } from '@jest/globals';
import sharp from 'sharp';
import { startFileServer } from '../../../lib/simulator/stand-ins/files.ts';
import { openLiveComfy, type LiveRig } from '../rigs/live-rig.ts';
import { loading, pictures, type Posted } from '../rigs/test-rig.ts';

/** Images and files that jobs bring: against any ComfyUI. */

const live = await openLiveComfy();

const RUN = live.ownName;

async function png(background: string): Promise<string> {
  const image = sharp({ create: { width: 16, height: 16, channels: 3, background } });
  return (await image.png().toBuffer()).toString('base64');
}

async function colourOf({ output }: Posted): Promise<string> {
  const image = sharp(Buffer.from(output?.images?.[0]?.data ?? '', 'base64'));
  return (await image.removeAlpha().raw().toBuffer()).subarray(0, 3).toString('hex');
}

const uploads = (rig: LiveRig) =>
  rig.relay.requests.filter((request) => request === 'POST /upload/image').length;

live.test('an image is uploaded before the workflow runs, and the workflow reads it', async () => {
  await using rig = await live.startRig();
  const image = `data:image/png;base64,${await png('#ff0000')}`;
  const name = `${RUN}-a.png`;
  const posted = await rig.run({ workflow: loading(name), images: [{ name, image }] });
  expect(posted.error).toBeUndefined();
  expect(await colourOf(posted)).toBe('ff0000');
});

live.test(
  'another image under the same name is read by the next job, not the one before',
  async () => {
    await using rig = await live.startRig();
    const name = `${RUN}-b.png`;
    for (const colour of ['ff0000', '00ff00', '0000ff']) {
      const images = [{ name, image: await png(`#${colour}`) }];
      expect(await colourOf(await rig.run({ workflow: loading(name), images }))).toBe(colour);
    }
  },
);

const spellings = [
  ['in a folder', 'pasted/x.png', 'pasted/x.png'],
  ['with the folder of inputs behind it', 'x.png', 'x.png [input]'],
  ['in other letters', 'x.png', 'X.PNG'],
  ['with %20 for a space', 'a x.png', 'a%20x.png'],
  ['in another Unicode form', 'b\u00e4r.png', 'ba\u0308r.png'],
  ['by a name that ComfyUI changes', 'a"b.png', 'a"b.png'],
] as const;
for (const [how, sent, named] of spellings) {
  live.test(`an image that the loader names ${how} is found: ${named}`, async () => {
    await using rig = await live.startRig();
    const images = [{ name: `${RUN}/${sent}`, image: await png('#00ff00') }];
    const posted = await rig.run({ workflow: loading(`${RUN}/${named}`), images });
    expect(posted.error).toBeUndefined();
    expect(await colourOf(posted)).toBe('00ff00');
  });
}

live.test('files are staged into folders, and a URL in a loader node is downloaded', async () => {
  const content = Buffer.from(await png('#0000ff'), 'base64');
  await using server = await startFileServer({ files: { '/blue.png': { content } } });
  await using rig = await live.startRig({ DOWNLOAD_ALLOW_PRIVATE: new URL(server.url).host });
  const files = [{ name: 'deep.png', data: await png('#ff0000'), subfolder: `${RUN}/in` }];
  const staged = await rig.run({ workflow: loading(`${RUN}/in/deep.png`), files });
  expect(await colourOf(staged)).toBe('ff0000');
  const downloaded = await rig.run({ workflow: loading(`${server.url}/blue.png`) });
  expect(await colourOf(downloaded)).toBe('0000ff');
});

live.test('a mask becomes the transparency of the image it names', async () => {
  await using rig = await live.startRig();
  const background = { r: 0, g: 0, b: 0, alpha: 0.5 };
  const mask = sharp({ create: { width: 16, height: 16, channels: 4, background } }).png();
  const original = `${RUN}-red.png`;
  const masked = `${RUN}-masked.png`;
  const data = (await mask.toBuffer()).toString('base64');
  const posted = await rig.run({
    workflow: {
      ...loading(masked),
      '3': { class_type: 'MaskToImage', inputs: { mask: ['1', 1] } },
      '2': { class_type: 'SaveImage', inputs: { images: ['3', 0], filename_prefix: 'mask' } },
    },
    images: [{ name: original, image: await png('#ff0000') }],
    files: [{ name: masked, data, type: 'mask', original_ref: { filename: original } }],
  });
  expect(posted.error).toBeUndefined();
  expect(await colourOf(posted)).toMatch(/^7[ef]7[ef]7[ef]$/);
});

live.test('the same bytes under the same name are uploaded once', async () => {
  await using rig = await live.startRig();
  const image = { name: `${RUN}-c.png`, image: await png('#0000ff') };
  await rig.run({ workflow: loading(image.name), images: [image, image] });
  expect(uploads(rig)).toBe(1);
});

live.test('all images that cannot be stored are named, in the order they were sent', async () => {
  await using rig = await live.startRig();
  const image = await png('#0000ff');
  const good = `${RUN}-good.png`;
  const { output, error } = await rig.run({
    workflow: loading(good),
    images: [
      { name: 'a.png', image: '!!!' },
      { name: good, image },
      { name: 'b.png', image: 'abc' },
      { name: '../out.png', image },
    ],
  });
  expect(error).toBe('Failed to upload one or more input images');
  expect(output?.details).toEqual([
    'Error decoding base64 for a.png: Character "!" at position 1 of 3 is not base64',
    'Error decoding base64 for b.png: Incorrect padding (the text ends after 3 characters; is it cut off?)',
    `Error uploading ../out.png: 400 Client Error: Bad Request for url: ${rig.relay.url}/upload/image`,
  ]);
});

live.test('an image that no node uses is a note, not an error', async () => {
  await using rig = await live.startRig();
  const images = [{ name: `${RUN}-unused.png`, image: await png('#0000ff') }];
  const { output, error } = await rig.run({
    workflow: pictures(),
    images,
    output: { details: true },
  });
  expect(error).toBeUndefined();
  expect(output).toMatchObject({ notes: [expect.stringContaining(`${RUN}-unused.png`)] });
});

live.test(
  'a loader that names an image nobody sent fails with what was sent, and nothing runs',
  async () => {
    await using rig = await live.startRig();
    const images = [{ name: `${RUN}-sent.png`, image: await png('#0000ff') }];
    const { error } = await rig.run({ workflow: loading(`${RUN}-nobody-sent-this.png`), images });
    expect(error).toContain(`${RUN}-nobody-sent-this.png`);
    expect(error).toContain(`${RUN}-sent.png`);
    expect(rig.relay.prompts).toEqual([]);
  },
);

live.test(
  'an image that only its name says is one fails its loader, without a path of the server',
  async () => {
    await using rig = await live.startRig();
    const name = `${RUN}-text.png`;
    const image = Buffer.from('this is a text').toString('base64');
    const { error, output } = await rig.run({ workflow: loading(name), images: [{ name, image }] });
    expect(error).toBeTruthy();
    const told = [error, ...(output?.details ?? [])].join('\n');
    expect(told).toContain('LoadImage');
    expect(told.replaceAll(rig.relay.url, '')).not.toMatch(/(?:^|[\s'"(])(?:\/\w|[A-Z]:\\)/);
  },
);

live.test('an input file that a running prompt reads is not replaced by the next job', async () => {
  await using rig = await live.startRig({ JOB_PREFETCH: '1' });
  const name = `${RUN}-shared.png`;
  const job = async (colour: string, seconds: number) => ({
    workflow: { ...(await live.slow(seconds)), ...renamed(loading(name)) },
    images: [{ name, image: await png(colour) }],
    output: { nodes: ['loaded2'] },
  });
  const first = rig.platform.submit(await job('#ff0000', 2));
  const second = rig.platform.submit(await job('#0000ff', 0.1));
  expect(await colourOf(await rig.posted(first))).toBe('ff0000');
  expect(await colourOf(await rig.posted(second))).toBe('0000ff');
});

/** The same nodes under other ids. */
function renamed(workflow: object): object {
  const text = JSON.stringify(workflow).replaceAll(/"(\d+)"(?=:|,0\])/g, '"loaded$1"');
  return JSON.parse(text) as object;
}
