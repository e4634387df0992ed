import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { expect, test } from '@jest/globals';
import { startAzureSimulator } from '../../lib/simulator/stand-ins/azure.ts';
import { startPutTarget } from '../../lib/simulator/stand-ins/put-target.ts';
import { startS3Simulator, type S3Simulator } from '../../lib/simulator/stand-ins/s3.ts';
import { pictures, startRig, type Posted } from './rigs/test-rig.ts';

interface Options {
  readonly ownBucket?: boolean;
  readonly volume?: boolean;
  /** No file fits into the result. */
  readonly tight?: boolean;
}

/** A worker with stand-ins of all stores. */
async function start({ ownBucket = false, volume = true, tight = false }: Options = {}) {
  await using parts = new AsyncDisposableStack();
  const s3 = parts.use(await startS3Simulator({ buckets: ['own', 'theirs'] }));
  const put = parts.use(await startPutTarget());
  const azure = parts.use(await startAzureSimulator({ container: 'c' }));
  const folder = await mkdtemp(join(tmpdir(), 'delivery-'));
  parts.defer(() => rm(folder, { recursive: true, force: true }));
  const bucket = {
    BUCKET_ENDPOINT_URL: s3.url,
    BUCKET_ACCESS_KEY_ID: s3.accessKeyId,
    BUCKET_SECRET_ACCESS_KEY: s3.secretAccessKey,
    BUCKET_NAME: 'own',
  };
  const rig = parts.use(
    await startRig({
      environment: {
        ...(ownBucket ? bucket : {}),
        ...(tight ? { RESULT_MAX_BYTES: '67700' } : {}),
        OUTPUT_VOLUME_DIR: volume ? folder : join(folder, 'no', 'volume'),
        UPLOAD_ALLOW_PRIVATE: [put.host, azure.host, new URL(s3.url).host].join(),
      },
    }),
  );
  const kept = parts.move();
  const dispose = () => kept.disposeAsync();
  return { rig, s3, put, azure, volume: folder, [Symbol.asyncDispose]: dispose };
}

const bucketOf = (s3: S3Simulator, changes = {}) => ({
  accessId: s3.accessKeyId,
  accessSecret: s3.secretAccessKey,
  bucketName: 'theirs',
  endpointUrl: s3.url,
  ...changes,
});

const typesOf = (posted: Posted) => posted.output?.images?.map(({ type }) => type);
const dataOf = (posted: Posted) => posted.output?.images?.[0]?.data ?? '';
const workflow = pictures();

test('a bucket in the input, or beside it, is used for that job only', async () => {
  await using setup = await start({ ownBucket: true });
  const { rig, s3 } = setup;
  const s3Config = bucketOf(s3, { objectPath: 'mine' });
  const inInput = await rig.run({ workflow, s3Config });
  const beside = await rig.run({ workflow }, { s3Config: bucketOf(s3) });
  const plain = await rig.run({ workflow }, { s3Config: {} });
  const none = await rig.run({ workflow }, { s3Config: [] });
  expect([inInput, beside, plain, none].map((posted) => typesOf(posted))).toEqual([
    ['s3_url'],
    ['s3_url'],
    ['s3_url'],
    ['s3_url'],
  ]);
  expect([...s3.objects.keys()].map((key) => key.replace(/[^/]+\/[^/]+$/, ''))).toEqual([
    'theirs/mine/',
    'theirs/',
    'own/',
    'own/',
  ]);
  expect((await fetch(dataOf(inInput))).status).toBe(200);
});

test('an incomplete s3Config is refused before the workflow runs, and not shown', async () => {
  await using setup = await start();
  const s3Config = { accessId: 'a', accessSecret: 'hush', endpointUrl: 'nothing' };
  const { error } = await setup.rig.run({ workflow }, { s3Config });
  expect(error?.split('\n')).toEqual([
    expect.stringMatching(/^s3Config\.bucketName: /),
    expect.stringMatching(/^s3Config\.endpointUrl: /),
  ]);
  expect(error).not.toContain('hush');
});

test('files are put to the URLs the caller has signed, whatever bucket the worker has', async () => {
  await using setup = await start({ ownBucket: true });
  const { rig, put } = setup;
  const urls = [put.signed('/one'), put.signed('/two')].map((url) => ({ url }));
  const posted = await rig.run({ workflow: pictures({ count: 2 }), output: { put: urls } });
  expect(posted.output?.images).toEqual([
    { filename: 'T_00001_.png', type: 'url', data: `${put.url}/one` },
    { filename: 'T_00002_.png', type: 'url', data: `${put.url}/two` },
  ]);
  expect(put.files.size).toBe(2);
  expect(JSON.stringify([posted, rig.lines])).not.toContain('signature');
});

test('files are stored on an HTTP server, in Azure, and on the volume', async () => {
  await using setup = await start();
  const { rig, put, azure } = setup;
  const http = { urlPrefix: put.url, headers: { authorization: 'hush' } };
  const overHttp = await rig.run({ workflow, output: { http } });
  const inAzure = await rig.run({
    workflow,
    output: { azure: { url: azure.containerUrl, accountKey: azure.accountKey, prefix: 'p' } },
  });
  const onVolume = await rig.run({ workflow, output: { delivery: 'volume' } });
  expect([typesOf(overHttp), typesOf(inAzure), typesOf(onVolume)]).toEqual([
    ['url'],
    ['url'],
    ['volume_path'],
  ]);
  const bytes = put.files.get('/T_00001_.png')!.bytes;
  expect(azure.blobs.get('p/T_00001_.png')?.bytes.equals(bytes)).toBe(true);
  expect((await readFile(dataOf(onVolume))).equals(bytes)).toBe(true);
  expect(dataOf(onVolume)).toContain(setup.volume);
});

test('two files of the same name do not replace each other', async () => {
  await using setup = await start();
  const second = {
    '3': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'sub/T' } },
  };
  const output = { delivery: 'volume' };
  const posted = await setup.rig.run({ workflow: { ...workflow, ...second }, output });
  expect(posted.output?.images?.map(({ filename, data }) => [filename, basename(data)])).toEqual([
    ['T_00001_.png', 'T_00001_.png'],
    ['T_00001_.png', '1-T_00001_.png'],
  ]);
});

test('auto: files that fit are returned inline, although there is a bucket', async () => {
  await using setup = await start({ ownBucket: true });
  const posted = await setup.rig.run({ workflow, output: { delivery: 'auto' } });
  expect(typesOf(posted)).toEqual(['base64']);
  expect(setup.s3.requests).toHaveLength(0);
});

test('auto: files that do not fit go to the bucket, else to signed URLs, else to the volume', async () => {
  await using withBucket = await start({ ownBucket: true, tight: true });
  await using without = await start({ tight: true });
  const output = { delivery: 'auto', put: [{ url: without.put.signed('/one') }] };
  expect(typesOf(await withBucket.rig.run({ workflow, output }))).toEqual(['s3_url']);
  const toUrl = await without.rig.run({ workflow, output });
  expect(dataOf(toUrl)).toBe(`${without.put.url}/one`);
  const toVolume = await without.rig.run({ workflow, output: { delivery: 'auto' } });
  expect(typesOf(toVolume)).toEqual(['volume_path']);
});

test('auto: without any store the job fails with its size and with advice', async () => {
  await using setup = await start({ volume: false, tight: true });
  const { output, error } = await setup.rig.run({ workflow, output: { delivery: 'auto' } });
  expect(output).toBeUndefined();
  expect(error).toMatch(/^The result has more than [\d,]+ bytes of JSON, and RESULT_MAX_BYTES/);
  expect(error).toMatch(/no bucket .* nothing in output\.put.* no volume/);
});

test('auto: a file the bucket refuses goes to the next store, with an entry in errors', async () => {
  await using setup = await start({ tight: true });
  const { rig, s3, put } = setup;
  const posted = await rig.run({
    workflow: pictures({ count: 2 }),
    s3Config: bucketOf(s3, { bucketName: 'missing' }),
    output: { delivery: 'auto', put: [{ url: put.signed('/one') }] },
  });
  expect(typesOf(posted)).toEqual(['url', 'volume_path']);
  expect(posted.error).toBeUndefined();
  expect(posted.output?.errors).toEqual([
    expect.stringMatching(
      /^Error uploading T_00001_\.png to S3: .*NoSuchBucket.*s3Config\.bucketName/,
    ),
    expect.stringMatching(/^Error uploading T_00002_\.png to S3: /),
    expect.stringMatching(
      /^Error uploading T_00002_\.png to output\.put: none of its URLs is left/,
    ),
  ]);
});

test('a file its only store refuses is returned inline if it fits, and never as an address', async () => {
  await using roomy = await start();
  await using tight = await start({ tight: true });
  const put = [{ url: `${roomy.put.url}/unsigned` }];
  const inside = await roomy.rig.run({ workflow, output: { put } });
  expect(typesOf(inside)).toEqual(['base64']);
  expect(inside.output?.errors?.[0]).toMatch(/403 Forbidden \(SignatureDoesNotMatch\)$/);
  const lost = await tight.rig.run({ workflow, output: { put: [{ url: `${tight.put.url}/no` }] } });
  expect(lost.error).toBe('Job processing failed');
  expect(lost.output?.details?.[0]).toMatch(/403 Forbidden.*too large to be returned as base64/);
});

test('inline: the bucket is not used', async () => {
  await using setup = await start({ ownBucket: true });
  const posted = await setup.rig.run({ workflow, output: { delivery: 'inline' } });
  expect([typesOf(posted), setup.s3.requests.length]).toEqual([['base64'], 0]);
});

test.each([
  [
    's3',
    /^output\.delivery is "s3", but there is no bucket: send s3Config, or .*BUCKET_ENDPOINT_URL/,
  ],
  [
    'put',
    /^output\.delivery is "put", but there is no URL to put files to: name them in output\.put/,
  ],
  ['volume', /^output\.delivery is "volume", but there is no volume: .*OUTPUT_VOLUME_DIR/],
])('%s: a missing store fails the job before it runs', async (delivery, why) => {
  await using setup = await start({ volume: false });
  const { error } = await setup.rig.run({ workflow, output: { delivery } });
  expect(error).toMatch(why);
  expect(setup.rig.lines.some(({ message }) => message === 'Prompt ended')).toBe(false);
});

test('a job that is run again stores its image under the same key', async () => {
  await using setup = await start({ ownBucket: true });
  const { rig, s3 } = setup;
  await rig.run({ workflow }, { id: 'again' });
  await rig.run({ workflow }, { id: 'again' });
  expect(s3.objects.size).toBe(1);
});
