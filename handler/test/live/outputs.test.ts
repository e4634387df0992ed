import { expect } from '@jest/globals';
import sharp from 'sharp';
import { ByteSource } from '../../../lib/workflow/embedded/byte-source.ts';
import { readEmbedded } from '../../../lib/workflow/embedded/embedded.ts';
import { newColour, openLiveComfy } from '../rigs/live-rig.ts';
import { loading, pictures } from '../rigs/test-rig.ts';

/** Images, previews, texts, videos and sounds that workflows make: against any ComfyUI. */

const live = await openLiveComfy();

/** Two savers and a preview on the same images. */
const several = {
  ...pictures({ count: 2 }),
  '3': {
    class_type: 'SaveImage',
    inputs: { images: ['1', 0], filename_prefix: 'deep/B' },
    _meta: { title: 'The other' },
  },
  '4': { class_type: 'PreviewImage', inputs: { images: ['1', 0] } },
};

interface Item {
  readonly filename: string;
  readonly data: string;
}
type Made = Readonly<Record<string, readonly Item[] | undefined>>;

const startsOf = (items: readonly Item[] | undefined) =>
  items?.map(({ filename }) => filename.replace(/_.*$/, ''));
const bytesOf = (item: Item | undefined) => Buffer.from(item?.data ?? '', 'base64');

live.test('several outputs come back, and nodes are chosen by id or title', async () => {
  await using rig = await live.startRig();
  const run = async (output?: object) => {
    const posted = await rig.run({ workflow: several, ...(output && { output }) });
    return startsOf(posted.output?.images);
  };
  expect((await run())?.sort()).toEqual(['B', 'B', 'T', 'T']);
  expect(await run({ nodes: [2] })).toEqual(['T', 'T']);
  expect(await run({ nodes: ['The other'] })).toEqual(['B', 'B']);
  expect(await run({ nodes: ['4'], includeTemp: true })).toEqual(['ComfyUI', 'ComfyUI']);
});

live.test('an unknown node fails the job before anything runs', async () => {
  await using rig = await live.startRig();
  const { error } = await rig.run({ workflow: several, output: { nodes: ['None'] } });
  expect(error).toMatch(/^output\.nodes asks for "None", which is neither/);
  expect(rig.relay.prompts).toEqual([]);
});

live.test('images are converted and scaled down', async () => {
  await using rig = await live.startRig();
  const output = { convert: { format: 'webp', quality: 60, maxWidth: 16 } };
  const posted = await rig.run({ workflow: pictures(), output });
  const [image] = posted.output?.images ?? [];
  expect(image?.filename).toMatch(/^T_\d{5}_\.webp$/);
  expect(await sharp(bytesOf(image)).metadata()).toMatchObject({ format: 'webp', width: 16 });
});

live.test('saved pictures carry the prompt of the caller', async () => {
  await using rig = await live.startRig();
  const frames = { images: ['1', 0], fps: 2 };
  const workflow = {
    '1': pictures({ count: 2 })['1'],
    '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'sub/still' } },
    '3': {
      class_type: 'SaveAnimatedPNG',
      inputs: { ...frames, filename_prefix: 'moving', compress_level: 4 },
    },
    '4': {
      class_type: 'SaveAnimatedWEBP',
      inputs: {
        ...{ ...frames, filename_prefix: 'web/moving', lossless: true },
        ...{ quality: 80, method: 'default' },
      },
    },
  };
  const { output } = await rig.run({ workflow });
  expect(output?.images).toHaveLength(4);
  for (const image of output?.images ?? []) {
    const found = await readEmbedded(ByteSource.ofBytes(bytesOf(image)));
    expect(JSON.parse(found?.get('prompt')?.text ?? 'null')).toEqual(workflow);
    expect(bytesOf(image).toString('latin1')).not.toContain('jobs/');
  }
});

live.test('an output of many megabytes comes back pixel for pixel', async () => {
  await using rig = await live.startRig({ RESULT_MAX_BYTES: '100000000' });
  const noise = { type: 'gaussian', mean: 128, sigma: 60 } as const;
  const create = { width: 2000, height: 2000, channels: 3, background: '#000000', noise } as const;
  const content = await sharp({ create }).png({ compressionLevel: 1 }).toBuffer();
  const name = `${live.ownName}-large.png`;
  const { output, error } = await rig.run({
    workflow: loading(name),
    images: [{ name, image: content.toString('base64') }],
  });
  expect(error).toBeUndefined();
  const made = bytesOf(output?.images?.[0]);
  expect(made.length).toBeGreaterThan(8_000_000);
  const [sent, received] = await Promise.all(
    [content, made].map((png) => sharp(png).removeAlpha().raw().toBuffer()),
  );
  expect(received?.equals(sent ?? Buffer.alloc(0))).toBe(true);
});

live.test(
  'images that are sent over the websocket and saved nowhere come back, too',
  async () => {
    await using rig = await live.startRig();
    const { '1': image } = pictures({ color: newColour() });
    const saver = { class_type: 'SaveImageWebsocket', inputs: { images: ['1', 0] } };
    const { output, error } = await rig.run({ workflow: { '1': image, '2': saver } });
    expect(error).toBeUndefined();
    expect(output?.images).toHaveLength(1);
    const { width, height } = await sharp(bytesOf(output?.images?.[0])).metadata();
    expect([width, height]).toEqual([32, 32]);
  },
  { classes: ['SaveImageWebsocket'] },
);

live.test(
  'texts come back beside the images',
  async () => {
    await using rig = await live.startRig();
    const workflow = {
      ...pictures(),
      '3': { class_type: 'PreviewAny', inputs: { source: 'a "caption"\nof two lines' } },
    };
    const { output } = await rig.run({ workflow });
    expect(output).toMatchObject({
      images: [{ type: 'base64' }],
      texts: [{ nodeId: '3', key: 'text', text: 'a "caption"\nof two lines' }],
    });
  },
  { classes: ['PreviewAny'] },
);

live.test(
  'a text that is saved comes back as a file, too',
  async () => {
    await using rig = await live.startRig();
    const workflow = {
      '1': { class_type: 'PrimitiveString', inputs: { value: 'a poem' } },
      '2': {
        class_type: 'SaveText',
        inputs: { text: ['1', 0], filename_prefix: 'poems/P', format: 'txt' },
      },
    };
    const { output } = await rig.run({ workflow });
    const { files, texts } = output as Made;
    expect(texts).toMatchObject([{ nodeId: '2', text: 'a poem' }]);
    expect(files).toMatchObject([{ filename: expect.stringMatching(/^P_\d{5}_?\.txt$/) }]);
    expect(bytesOf(files?.[0]).toString()).toBe('a poem');
  },
  { classes: ['PrimitiveString', 'SaveText'] },
);

live.test(
  'a video that ComfyUI lists as an image stays in images, unless files are grouped by media type',
  async () => {
    await using rig = await live.startRig();
    const workflow = {
      '1': pictures({ count: 4, size: 64 })['1'],
      '2': { class_type: 'CreateVideo', inputs: { images: ['1', 0], fps: 4 } },
      '3': {
        class_type: 'SaveVideo',
        inputs: {
          ...{ video: ['2', 0], filename_prefix: 'video/film', format: 'auto' },
          ...{ codec: 'auto', 'format.codec': 'auto' },
        },
      },
    };
    const film = { filename: expect.stringMatching(/^film_\d{5}_\.mp4$/), type: 'base64' };
    const asEver = await rig.run({ workflow });
    expect(asEver.output).toEqual({ images: [{ ...film, data: expect.any(String) }] });
    expect(bytesOf(asEver.output?.images?.[0]).toString('latin1', 4, 8)).toBe('ftyp');
    const grouped = await rig.run({ workflow, output: { groupBy: 'mediaType' } });
    expect(grouped.output).toMatchObject({ images: [], videos: [film] });
  },
  { classes: ['CreateVideo', 'SaveVideo'] },
);

live.test(
  'a sound comes back in its own list',
  async () => {
    await using rig = await live.startRig();
    const workflow = {
      '1': { class_type: 'EmptyAudio', inputs: { duration: 0.5, sample_rate: 8000, channels: 1 } },
      '2': { class_type: 'SaveAudio', inputs: { audio: ['1', 0], filename_prefix: 'audio/A' } },
    };
    const { audio } = (await rig.run({ workflow })).output as Made;
    expect(audio).toMatchObject([{ filename: expect.stringMatching(/^A_\d{5}_?\.flac$/) }]);
    expect(bytesOf(audio?.[0]).toString('latin1', 0, 4)).toBe('fLaC');
  },
  { classes: ['EmptyAudio', 'SaveAudio'] },
);
