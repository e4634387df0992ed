import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import { startFileServer, type FileServer } from '../../lib/simulator/stand-ins/files.ts';
import {
  loading,
  pictures,
  sampling,
  startRig,
  type Rig,
  type RigOptions,
} from './rigs/test-rig.ts';

const png = (color: string, size = 16) =>
  sharp({ create: { width: size, height: size, channels: 3, background: color } })
    .png()
    .toBuffer();

/** A worker that may fetch from this server, and a ComfyUI. */
function startFetchingRig(server: FileServer, environment: RigOptions['environment'] = {}) {
  const allowed = { DOWNLOAD_ALLOW_PRIVATE: new URL(server.url).host, DOWNLOAD_RETRIES: '0' };
  return startRig({ environment: { ...allowed, ...environment } });
}

const inputs = async (rig: Rig) =>
  (await readdir(rig.comfy.folders.input, { recursive: true })).sort();
const inputFile = (rig: Rig, name: string) => readFile(join(rig.comfy.folders.input, name));
const uploads = (rig: Rig) =>
  rig.comfy.past({ type: 'request', request: 'POST /upload/image' }).length;

/** The colour of the top left pixel of the first picture that came back. */
async function colourOf({ output }: Awaited<ReturnType<Rig['run']>>): Promise<number[]> {
  const bytes = Buffer.from(output?.images?.[0]?.data ?? '', 'base64');
  return [...(await sharp(bytes).removeAlpha().raw().toBuffer()).subarray(0, 3)];
}

test('an image is downloaded from a URL and stored under its name', async () => {
  const content = await png('#ff0000');
  await using server = await startFileServer({ files: { '/red': { content } } });
  await using rig = await startFetchingRig(server);
  const url = `${server.url}/red?token=s3cret`;
  for (const image of [
    { name: 'a.png', image: url },
    { name: 'a.png', url },
  ]) {
    expect(await colourOf(await rig.run({ workflow: loading('a.png'), images: [image] }))).toEqual([
      255, 0, 0,
    ]);
  }
  expect(JSON.stringify(rig.lines)).not.toContain('s3cret');
});

test('a URL in a loader node is downloaded once and replaced; the rest of the workflow is unchanged', async () => {
  const content = await png('#00ff00');
  await using server = await startFileServer({ files: { '/green.png': { content } } });
  await using rig = await startFetchingRig(server);
  const url = `${server.url}/green.png`;
  const workflow = {
    ...loading(url),
    '3': { class_type: 'LoadImage', inputs: { image: url } },
    '4': {
      class_type: 'SaveImage',
      inputs: { images: ['3', 0], filename_prefix: url.replace(/\W/g, '_') },
    },
  };
  const posted = await rig.run({ workflow });
  expect(await colourOf(posted)).toEqual([0, 255, 0]);
  expect(posted.output?.images).toHaveLength(2);
  expect(server.requests).toHaveLength(1);
  expect(uploads(rig)).toBe(1);
  expect(await inputs(rig)).toEqual([expect.stringMatching(/^[0-9a-f]{32}\.png$/)]);
});

test('files of any kind are staged, also into folders', async () => {
  const video = { patternBytes: 3_000_000 };
  await using server = await startFileServer({
    files: { '/clip': { content: video, mediaType: 'video/mp4' } },
  });
  await using rig = await startFetchingRig(server);
  const { error } = await rig.run({
    workflow: loading('in/deep/red.png'),
    files: [
      { name: 'clip.mp4', url: `${server.url}/clip`, type: 'video' },
      { name: 'red.png', data: (await png('#ff0000')).toString('base64'), subfolder: 'in/deep/' },
      { name: 'latent.latent', data: 'AAAA' },
    ],
  });
  expect(error).toBeUndefined();
  expect(await inputs(rig)).toEqual([
    'clip.mp4',
    'in',
    'in/deep',
    'in/deep/red.png',
    'latent.latent',
  ]);
  expect((await inputFile(rig, 'clip.mp4')).length).toBe(3_000_000);
});

test('a mask becomes the transparency of the image it names, also of an image of the same job', async () => {
  await using rig = await startRig();
  const mask = await sharp({
    create: { width: 16, height: 16, channels: 4, background: { r: 0, g: 0, b: 0, alpha: 0.5 } },
  })
    .png()
    .toBuffer();
  const job = (filename: string) => ({
    workflow: loading('masked.png'),
    files: [
      {
        name: 'masked.png',
        data: mask.toString('base64'),
        type: 'mask',
        original_ref: { filename },
      },
    ],
    images: [{ name: 'red.png', image: redBase64 }],
  });
  const redBase64 = (await png('#ff0000')).toString('base64');
  expect((await rig.run(job('red.png'))).error).toBeUndefined();
  const { data } = await sharp(await inputFile(rig, 'masked.png'))
    .raw()
    .toBuffer({ resolveWithObject: true });
  expect([...data.subarray(0, 4)]).toEqual([255, 0, 0, 128]);
  const { output } = await rig.run({
    ...job('none.png'),
    files: [{ ...job('none.png').files[0], name: 'other.png' }],
  });
  expect(output?.details).toEqual([
    'Error uploading other.png: ComfyUI did not store the mask: it has no image "none.png" of the type "input" to put it on',
  ]);
});

test('the same bytes under the same name are uploaded once', async () => {
  await using rig = await startRig();
  const image = (await png('#0000ff')).toString('base64');
  const twice = [
    { name: 'a.png', image },
    { name: 'a.png', image },
  ];
  expect((await rig.run({ workflow: loading('a.png'), images: twice })).error).toBeUndefined();
  expect(uploads(rig)).toBe(1);
});

test('all files that cannot be loaded are reported at once, in the order they were sent', async () => {
  await using server = await startFileServer({
    files: {
      '/page': { content: Buffer.from('<html>'), mediaType: 'text/html' },
      '/away': { redirect: { to: 'http://169.254.169.254/latest/meta-data/' } },
    },
  });
  await using rig = await startFetchingRig(server);
  const { error, output } = await rig.run({
    workflow: loading(`${server.url}/page`),
    images: [
      { name: 'bad.png', image: '!!!' },
      { name: 'none.png', url: `${server.url}/none?token=s3cret` },
      { name: '../x.png', url: `${server.url}/page` },
      { name: 'seven.png', url: 7 },
    ],
    files: [{ name: 'away.bin', url: `${server.url}/away` }],
  });
  expect(error).toBe('Failed to upload one or more input images');
  expect(output?.details).toEqual([
    'Error decoding base64 for bad.png: Character "!" at position 1 of 3 is not base64',
    `Error downloading none.png: [GET] ${server.url}/none: 404 Not Found`,
    'Unexpected error uploading ../x.png: Each step of the name must not be ".."',
    'Unexpected error uploading seven.png: Expected url to be a URL, got a number',
    expect.stringMatching(
      /^Error downloading away\.bin: \[GET\] http:\/\/169\.254\.169\.254.* not on the public internet/,
    ),
    'Error checking node 1 (LoadImage), input image: what is there is text/html, not an image; is the URL that of a web page?',
  ]);
  expect(await inputs(rig)).toEqual([]);
});

test.each([
  [
    { INPUT_MAX_IMAGE_EDGE: '15' },
    /16 x 16 pixels, and at most 15 in each direction .*INPUT_MAX_IMAGE_EDGE/,
  ],
  [
    { INPUT_MAX_IMAGE_PIXELS: '255' },
    /16 x 16 pixels, 256 in all, and at most 255 .*INPUT_MAX_IMAGE_PIXELS/,
  ],
  [{ INPUT_MAX_IMAGE_BYTES: '10' }, /has \d+ bytes, and at most 10 .*INPUT_MAX_IMAGE_BYTES/],
])(
  'with %j a larger image is refused, with its name and the numbers',
  async (environment, text) => {
    await using rig = await startRig({ environment });
    const image = (await png('#ff0000')).toString('base64');
    const { output } = await rig.run({
      workflow: loading('a.png'),
      images: [{ name: 'a.png', image }],
    });
    expect(output?.details).toEqual([expect.stringMatching(/^Error checking a\.png: /)]);
    expect(output?.details?.[0]).toMatch(text);
    expect(await inputs(rig)).toEqual([]);
  },
);

test('a decompression bomb is recognised by its header and not decoded', async () => {
  await using rig = await startRig();
  const image = bomb(100_000).toString('base64');
  const { output } = await rig.run({
    workflow: loading('a.png'),
    images: [{ name: 'a.png', image }],
  });
  expect(output?.details?.[0]).toMatch(
    /^Error checking a\.png: the image has 100000 x 100000 pixels/,
  );
});

test('all frames of an animation count', async () => {
  await using rig = await startRig({ environment: { INPUT_MAX_ANIMATION_PIXELS: '1000' } });
  const raw = Buffer.alloc(16 * 64 * 3).map((_, at) => at >> 3);
  const gif = await sharp(raw, { raw: { width: 16, height: 64, channels: 3, pageHeight: 16 } })
    .gif()
    .toBuffer();
  const images = [{ name: 'a.gif', image: gif.toString('base64') }];
  const { output } = await rig.run({ workflow: loading('a.gif'), images });
  expect(output?.details?.[0]).toMatch(/the animation has 4 frames of 16 x 16 pixels, 1024 in all/);
});

test('a file that is not an image is passed on unchanged, unless the job is strict', async () => {
  await using rig = await startRig();
  const red = { name: 'a.png', image: (await png('#ff0000')).toString('base64') };
  const job = {
    workflow: loading('a.png'),
    images: [red, { name: 'b.latent', image: 'AAECAwQF' }],
  };
  expect((await rig.run(job)).error).toBeUndefined();
  expect(await inputFile(rig, 'b.latent')).toEqual(Buffer.from([0, 1, 2, 3, 4, 5]));
  expect((await rig.run({ ...job, strict: true })).output?.details).toEqual([
    expect.stringMatching(/^Error checking b\.latent: it is nothing known, not an image/),
  ]);
});

test('a file too large to upload is copied over the disk that worker and ComfyUI share', async () => {
  const content = { patternBytes: 110_000_000 };
  await using server = await startFileServer({ files: { '/big.mp4': { content } } });
  await using rig = await startFetchingRig(server);
  const job = {
    workflow: pictures(),
    files: [{ name: 'big.mp4', url: `${server.url}/big.mp4`, subfolder: 'v' }],
  };
  expect((await rig.run(job)).error).toBeUndefined();
  expect(await inputs(rig)).toEqual(['v', 'v/big.mp4']);
  expect(uploads(rig)).toBe(0);

  await using apart = await startFetchingRig(server, { COMFY_INPUT_DIR: tmpdir() });
  expect((await apart.run(job)).output?.details).toEqual([
    expect.stringMatching(
      /^Error uploading v\/big\.mp4: The file has 110000000 bytes\. .* is on no disk .* COMFY_INPUT_DIR/,
    ),
  ]);
  expect(await inputs(apart)).toEqual([]);
});

test('forty images of four megabytes are staged with one job', async () => {
  const noise = {
    create: {
      width: 1200,
      height: 1200,
      channels: 3,
      background: '#000000',
      noise: { type: 'gaussian', mean: 128, sigma: 60 },
    },
  } as const;
  const content = await sharp(noise).png().toBuffer();
  expect(content.length).toBeGreaterThan(4_000_000);
  const names = Array.from({ length: 40 }, (_, at) => `${at}.png`);
  await using server = await startFileServer({
    files: Object.fromEntries(names.map((name) => [`/${name}`, { content }])),
  });
  await using rig = await startFetchingRig(server);
  const images = names.map((name) => ({ name, url: `${server.url}/${name}` }));
  expect((await rig.run({ workflow: pictures(), images })).error).toBeUndefined();
  expect(await inputs(rig)).toEqual(names.sort());
  expect((await inputFile(rig, '39.png')).equals(content)).toBe(true);
});

/** A PNG that says it is as wide and high as this. */
function bomb(size: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.alloc(1000))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(data.length, 0);
  ends.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
}

test('an image that a running prompt reads is not stored again for the next job that brings it', async () => {
  const image = (await png('#0000ff')).toString('base64');
  await using rig = await startRig({ comfy: { speed: 1 }, environment: { JOB_PREFETCH: '1' } });
  const input = (steps: number) => ({
    workflow: { ...loading('same.png'), ...prefixed(sampling({ steps, stepMs: 20 })) },
    images: [{ name: 'same.png', image }],
  });
  const first = rig.platform.submit(input(20));
  const second = rig.platform.submit(input(21));
  expect((await rig.posted(first)).error).toBeUndefined();
  expect((await rig.posted(second)).error).toBeUndefined();
  expect(uploads(rig)).toBe(1);
});

/** The same nodes under other ids. */
function prefixed(workflow: object): object {
  return JSON.parse(JSON.stringify(workflow).replaceAll(/"(\d+)"(?=:|,0\])/g, '"s$1"')) as object;
}
