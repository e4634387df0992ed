import type { LookupFunction } from 'node:net';
import { expect, test } from '@jest/globals';
import { Agent, request } from 'undici';
import { freePort } from '../../http/test-free-port.ts';
import { ManualClock, systemClock } from '../../clock.ts';
import { readConfig } from '../../config.ts';
import { isWorkerError } from '../../errors.ts';
import { errorXml, startS3Simulator, type S3Simulator } from '../../simulator/stand-ins/s3.ts';
import { bucketSettings } from './settings.ts';
import { S3Storage, type S3Options } from './s3.ts';

const PIXELS = Uint8Array.from({ length: 70_000 }, (_, index) => (index * 31) % 256);
const FILE = {
  jobId: 'job-1-u1',
  filename: 'ComfyUI_00001_.png',
  uniqueName: 'ComfyUI_00001_.png',
  index: 0,
  content: new Blob([PIXELS]),
  mediaType: 'image/png',
};
const BUCKET = 'pictures';

/** Every name leads to this machine, so that a bucket can stand in a host name. */
const lookup: LookupFunction = (_hostname, options, callback) => {
  if (options.all) callback(null, [{ address: '127.0.0.1', family: 4 }]);
  else callback(null, '127.0.0.1', 4);
};

function storageAt(
  sim: S3Simulator,
  environment: Record<string, string> = {},
  options: Partial<S3Options> = {},
): S3Storage {
  const config = readConfig({
    BUCKET_ENDPOINT_URL: sim.url,
    BUCKET_ACCESS_KEY_ID: sim.accessKeyId,
    BUCKET_SECRET_ACCESS_KEY: sim.secretAccessKey,
    BUCKET_NAME: BUCKET,
    ...environment,
  });
  return new S3Storage(bucketSettings(config)!, { clock: systemClock, lookup, ...options });
}

const never = () => new AbortController().signal;

async function fetched(url: string) {
  await using agent = disposable(new Agent({ connect: { lookup } }));
  const { statusCode, headers, body } = await request(url, { dispatcher: agent });
  const bytes = new Uint8Array(await body.arrayBuffer());
  return { status: statusCode, mediaType: headers['content-type'], bytes };
}

function disposable(agent: Agent): Agent & AsyncDisposable {
  return Object.assign(agent, { [Symbol.asyncDispose]: () => agent.close() });
}

async function uploadError(storage: S3Storage): Promise<string> {
  const error: unknown = await storage.put(FILE, never()).then(
    () => new Error('the upload should have failed'),
    (reason: unknown) => reason,
  );
  if (!isWorkerError(error, 'storage.upload_failed')) throw error;
  return error.message;
}

test('the URL returned gives a plain client the same bytes and media type', async () => {
  await using sim = await startS3Simulator({ buckets: [BUCKET] });
  await using storage = storageAt(sim);
  const url = await storage.put({ ...FILE, mediaType: 'image/webp' }, never());
  expect(await fetched(url)).toEqual({ status: 200, mediaType: 'image/webp', bytes: PIXELS });
});

test('the URL has the six parameters of a signature, in order, and nothing else', async () => {
  await using sim = await startS3Simulator({ buckets: [BUCKET] });
  await using storage = storageAt(sim);
  const url = new URL(await storage.put(FILE, never()));
  expect(url.pathname).toMatch(/^\/pictures\/job-1-u1\/[0-9a-f]{8}\.png$/);
  expect([...url.searchParams.keys()]).toEqual([
    'X-Amz-Algorithm',
    'X-Amz-Credential',
    'X-Amz-Date',
    'X-Amz-Expires',
    'X-Amz-SignedHeaders',
    'X-Amz-Signature',
  ]);
  expect(url.searchParams.get('X-Amz-Expires')).toBe('604800');
  expect(url.searchParams.get('X-Amz-SignedHeaders')).toBe('host');
});

test('one plain PUT is sent: with its length, without checksums, without Expect: 100-continue', async () => {
  await using sim = await startS3Simulator({ buckets: [BUCKET] });
  await using storage = storageAt(sim);
  const content = new Blob([new Uint8Array(3_000_000)]);
  await storage.put({ ...FILE, content }, never());
  expect(sim.requests).toHaveLength(1);
  const { method, headers } = sim.requests[0]!;
  expect(method).toBe('PUT');
  expect(headers['content-length']).toBe('3000000');
  expect(headers['content-type']).toBe('image/png');
  for (const name of ['expect', 'x-amz-sdk-checksum-algorithm', 'x-amz-acl', 'content-encoding']) {
    expect(headers).not.toHaveProperty(name);
  }
  expect(Object.keys(headers).filter((name) => name.startsWith('x-amz-checksum'))).toEqual([]);
});

test('a bucket in the host without BUCKET_NAME has the month as a folder', async () => {
  await using sim = await startS3Simulator({ buckets: ['my'] });
  await using storage = storageAt(sim, {
    BUCKET_ENDPOINT_URL: `http://my.s3.test:${sim.port}`,
    BUCKET_NAME: '',
  });
  const url = await storage.put(FILE, never());
  expect([...sim.objects.keys()]).toEqual([expect.stringMatching(`^my/${thisMonth()}/job-1-u1/`)]);
  expect((await fetched(url)).bytes).toEqual(PIXELS);
});

test('an endpoint without bucket and BUCKET_NAME needs a bucket named after the month', async () => {
  await using sim = await startS3Simulator({ buckets: [thisMonth()] });
  await using storage = storageAt(sim, { BUCKET_NAME: '' });
  await storage.put(FILE, never());
  expect([...sim.objects.keys()]).toEqual([expect.stringMatching(`^${thisMonth()}/job-1-u1/`)]);
});

test('a bucket in the path without BUCKET_NAME has the month as a folder', async () => {
  await using sim = await startS3Simulator({ buckets: ['my'] });
  await using storage = storageAt(sim, { BUCKET_ENDPOINT_URL: `${sim.url}/my`, BUCKET_NAME: '' });
  const url = await storage.put(FILE, never());
  expect([...sim.objects.keys()]).toEqual([expect.stringMatching(`^my/${thisMonth()}/job-1-u1/`)]);
  expect((await fetched(url)).status).toBe(200);
});

test.each([
  ['in the path of the endpoint', (port: number) => `http://127.0.0.1:${port}/pictures`, ''],
  ['in the host of the endpoint', (port: number) => `http://pictures.s3.test:${port}`, ''],
  ['added to the host', (port: number) => `http://s3.test:${port}`, 'false'],
  ['added to the path', (port: number) => `http://s3.test:${port}`, 'true'],
])('BUCKET_NAME %s is used once, and the URL works', async (_, endpoint, forcePath) => {
  await using sim = await startS3Simulator({ buckets: [BUCKET] });
  await using storage = storageAt(sim, {
    BUCKET_ENDPOINT_URL: endpoint(sim.port),
    BUCKET_FORCE_PATH_STYLE: forcePath,
  });
  const url = await storage.put(FILE, never());
  expect([...sim.objects.keys()]).toEqual([expect.stringMatching(/^pictures\/job-1-u1\/[^/]+$/)]);
  expect((await fetched(url)).bytes).toEqual(PIXELS);
});

test.each(['ein schönes Bild 画像.png', "it's (1) + *50%!.png", 'a+b&c=d;e,f.png'])(
  'a file named %j can be stored under its name and fetched',
  async (filename) => {
    await using sim = await startS3Simulator({ buckets: [BUCKET] });
    await using storage = storageAt(sim, { BUCKET_KEY_TEMPLATE: 'a b/{filename}' });
    const url = await storage.put({ ...FILE, filename }, never());
    expect((await fetched(url)).status).toBe(200);
  },
);

test('the signature is for the region asked for', async () => {
  await using sim = await startS3Simulator({ buckets: [BUCKET], region: 'eu-north-1' });
  await using right = storageAt(sim, { BUCKET_REGION: 'eu-north-1' });
  expect((await fetched(await right.put(FILE, never()))).status).toBe(200);

  await using wrong = storageAt(sim);
  expect(await uploadError(wrong)).toBe(
    'An error occurred (AuthorizationHeaderMalformed) when calling the PutObject operation: ' +
      "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-north-1'" +
      ' (set BUCKET_REGION to eu-north-1)',
  );
});

test('a wrong secret is refused, and the error names the setting without its value', async () => {
  await using sim = await startS3Simulator({ buckets: [BUCKET] });
  await using storage = storageAt(sim, { BUCKET_SECRET_ACCESS_KEY: 'hush-hush' });
  const error: unknown = await storage.put(FILE, never()).catch((reason: unknown) => reason);
  expect(isWorkerError(error, 'storage.upload_failed') && error.message).toMatch(
    /^An error occurred \(SignatureDoesNotMatch\) when calling the PutObject operation: .*BUCKET_SECRET_ACCESS_KEY/,
  );
  expect(isWorkerError(error) && error.cause).toBeUndefined();
  expect(JSON.stringify(error)).not.toMatch(/hush|SIMULATEDKEYID/);
});

test('a bucket that does not exist is named', async () => {
  await using sim = await startS3Simulator({ buckets: [] });
  await using storage = storageAt(sim);
  expect(await uploadError(storage)).toBe(
    'An error occurred (NoSuchBucket) when calling the PutObject operation: The specified bucket does not exist' +
      ' (create the bucket pictures, or set BUCKET_NAME to one that exists)',
  );
  expect(sim.requests).toHaveLength(1);
});

test('a store that is busy twice, then resets, gets the file with the fourth attempt', async () => {
  await using sim = await startS3Simulator({ buckets: [BUCKET] });
  await using storage = storageAt(sim);
  sim.failNext({ kind: 'refuse', status: 503, body: errorXml('SlowDown') }, 2);
  sim.failNext({ kind: 'reset' });
  const url = await storage.put(FILE, never());
  expect(sim.requests.map(({ status }) => status)).toEqual([503, 503, 0, 200]);
  expect((await fetched(url)).bytes).toEqual(PIXELS);
});

test('an upload to a store that stays busy fails after four attempts', async () => {
  await using sim = await startS3Simulator({ buckets: [BUCKET] });
  await using storage = storageAt(sim);
  sim.failNext({ kind: 'refuse', status: 500, body: errorXml('InternalError') }, 5);
  expect(await uploadError(storage)).toBe(
    'An error occurred (InternalError) when calling the PutObject operation (reached max retries: 3): Simulated InternalError',
  );
  expect(sim.requests).toHaveLength(4);
});

test('an upload to a store that never answers fails', async () => {
  await using sim = await startS3Simulator({ buckets: [BUCKET] });
  await using storage = storageAt(sim, {}, { silenceTimeoutMs: 20 });
  sim.failNext({ kind: 'hang' }, 4);
  expect(await uploadError(storage)).toMatch(/^Read timeout on endpoint URL: "http.*\.png"$/);
});

test.each([
  [403, '', 'An error occurred (403) when calling the PutObject operation: Forbidden'],
  [
    502,
    '<h1>proxy</h1',
    'An error occurred (502) when calling the PutObject operation (reached max retries: 3): Bad Gateway',
  ],
])('a %i with the body %j, which is no answer of S3, is told by its status', async (...row) => {
  const [status, body, message] = row;
  await using sim = await startS3Simulator({ buckets: [BUCKET] });
  await using storage = storageAt(sim);
  sim.failNext({ kind: 'refuse', status, body }, 4);
  expect(await uploadError(storage)).toBe(message);
});

test('the error of a store that cannot be reached has the URL of the object', async () => {
  await using sim = await startS3Simulator({ buckets: [BUCKET] });
  const endpoint = `http://127.0.0.1:${await freePort()}`;
  await using storage = storageAt(sim, { BUCKET_ENDPOINT_URL: endpoint });
  expect(await uploadError(storage)).toMatch(
    /^Could not connect to the endpoint URL: "http:\/\/127\.0\.0\.1:\d+\/pictures\/job-1-u1\/[0-9a-f]{8}\.png"$/,
  );
});

test('files of a job are uploaded in parallel, and later ones over the same connections', async () => {
  await using sim = await startS3Simulator({ buckets: [BUCKET] });
  await using storage = storageAt(sim);
  const putFour = (jobId: string) =>
    Promise.all([0, 1, 2, 3].map((index) => storage.put({ ...FILE, jobId, index }, never())));
  const urls = [...(await putFour('job-1')), ...(await putFour('job-2'))];
  expect(new Set(urls).size).toBe(8);
  expect(sim.objects.size).toBe(8);
  expect(sim.connections).toBeLessThanOrEqual(4);
});

test('a job that is stopped stops its upload', async () => {
  await using sim = await startS3Simulator({ buckets: [BUCKET] });
  await using storage = storageAt(sim);
  sim.failNext({ kind: 'hang' });
  const stop = new AbortController();
  const arrived = sim.nextRequest();
  const put = storage.put(FILE, stop.signal);
  await Promise.all([
    arrived,
    expect(put).rejects.toThrow('stopped'),
    arrived.then(() => stop.abort(new Error('stopped'))),
  ]);
  expect(sim.requests).toHaveLength(1);
  await expect(storage.put(FILE, stop.signal)).rejects.toThrow('stopped');
  expect(sim.requests).toHaveLength(1);
});

test('a URL can be read for BUCKET_URL_EXPIRES_S, and not when it was changed', async () => {
  const clock = new ManualClock(Date.now());
  await using sim = await startS3Simulator({ buckets: [BUCKET], clock });
  await using storage = storageAt(sim, { BUCKET_URL_EXPIRES_S: '60' }, { clock });
  const url = await storage.put(FILE, never());
  expect((await fetched(url.replace('job-1', 'job-2'))).status).toBe(403);
  expect((await fetched(url.replace('Expires=60', 'Expires=600'))).status).toBe(403);
  clock.advance(58_000);
  expect((await fetched(url)).status).toBe(200);
  clock.advance(3_000);
  expect((await fetched(url)).status).toBe(403);
});

const MEGABYTE = 1024 * 1024;
/** 12 MB: two parts and a rest. */
const LARGE = Buffer.alloc(12 * MEGABYTE, 'large ');
const LARGE_FILE = { ...FILE, filename: 'large.mp4', content: new Blob([LARGE]) };
const isPart = ({ query }: { query: URLSearchParams }) => query.has('partNumber');

test('a large file is sent in parts and becomes one object', async () => {
  await using sim = await startS3Simulator({ buckets: [BUCKET] });
  await using storage = storageAt(sim);
  const url = await storage.put({ ...LARGE_FILE, mediaType: 'video/mp4' }, never());
  const { status, mediaType, bytes } = await fetched(url);
  expect([status, mediaType, LARGE.equals(bytes)]).toEqual([200, 'video/mp4', true]);
  expect(sim.requests.filter(isPart)).toHaveLength(3);
  expect(sim.openUploads).toBe(0);
});

test('a job that is run again finds its large file, and does not send it again', async () => {
  await using sim = await startS3Simulator({ buckets: [BUCKET] });
  await using storage = storageAt(sim);
  const first = await storage.put(LARGE_FILE, never());
  const before = sim.requests.length;
  const second = await storage.put(LARGE_FILE, never());
  expect(second.split('?')[0]).toBe(first.split('?')[0]);
  expect(sim.requests.slice(before).map(({ method }) => method)).toEqual(['HEAD']);
});

test('a large file of the same name with other bytes is sent, also under the same key', async () => {
  await using sim = await startS3Simulator({ buckets: [BUCKET] });
  await using storage = storageAt(sim, { BUCKET_KEY_TEMPLATE: '{filename}' });
  await storage.put(LARGE_FILE, never());
  const other = Buffer.alloc(LARGE.length, 'other ');
  const url = await storage.put({ ...LARGE_FILE, content: new Blob([other]) }, never());
  expect(other.equals((await fetched(url)).bytes)).toBe(true);
});

test('a key that may write but not read sends a large file again', async () => {
  await using sim = await startS3Simulator({ buckets: [BUCKET] });
  await using storage = storageAt(sim);
  sim.failNext({ kind: 'refuse', status: 403, body: '' }, 1, ({ method }) => method === 'HEAD');
  expect((await fetched(await storage.put(LARGE_FILE, never()))).status).toBe(200);
});

test('only the parts that a busy or resetting store lost are sent again', async () => {
  await using sim = await startS3Simulator({ buckets: [BUCKET] });
  await using storage = storageAt(sim);
  sim.failNext({ kind: 'refuse', status: 503, body: errorXml('SlowDown') }, 2, isPart);
  sim.failNext({ kind: 'reset' }, 1, ({ query }) => query.get('partNumber') === '3');
  const url = await storage.put(LARGE_FILE, never());
  expect(LARGE.equals((await fetched(url)).bytes)).toBe(true);
  expect(sim.requests.filter(isPart)).toHaveLength(6);
});

test('a part that is refused fails the upload, and no parts stay in the store', async () => {
  await using sim = await startS3Simulator({ buckets: [BUCKET] });
  await using storage = storageAt(sim);
  sim.failNext({ kind: 'refuse', status: 403, body: errorXml('AccessDenied') }, 1, isPart);
  await expect(storage.put(LARGE_FILE, never())).rejects.toThrow(/\(AccessDenied\)/);
  expect([sim.openUploads, sim.objects.size]).toEqual([0, 0]);
});

test('an answer of 200 with an error in its body fails the upload', async () => {
  await using sim = await startS3Simulator({ buckets: [BUCKET] });
  await using storage = storageAt(sim);
  const isAssembly = ({ method, query }: { method: string; query: URLSearchParams }) =>
    method === 'POST' && query.has('uploadId');
  sim.failNext({ kind: 'refuse', status: 200, body: errorXml('InternalError') }, 4, isAssembly);
  await expect(storage.put(LARGE_FILE, never())).rejects.toThrow(/\(InternalError\)/);
  expect(sim.objects.size).toBe(0);
});

test('a job that is stopped aborts the upload of its parts and deletes them', async () => {
  await using sim = await startS3Simulator({ buckets: [BUCKET] });
  await using storage = storageAt(sim);
  const stop = new AbortController();
  sim.failNext({ kind: 'hang' }, 2, isPart);
  const put = storage.put(LARGE_FILE, stop.signal);
  const stopped = expect(put).rejects.toThrow('stopped');
  while (!sim.requests.some(isPart)) await sim.nextRequest(AbortSignal.timeout(10_000));
  stop.abort(new Error('stopped'));
  await stopped;
  expect(sim.openUploads).toBe(0);
});

test('a machine whose clock is wrong by an hour can store files, and its links work', async () => {
  const clock = new ManualClock(Date.now() + 3_600_000);
  await using sim = await startS3Simulator({ buckets: [BUCKET], clock });
  await using storage = storageAt(sim);
  const url = await storage.put(FILE, never());
  expect(sim.requests.map(({ status }) => status)).toEqual([403, 200]);
  expect((await fetched(url)).bytes).toEqual(PIXELS);
});

function thisMonth(): string {
  const now = new Date();
  return `${String(now.getMonth() + 1).padStart(2, '0')}-${String(now.getFullYear()).slice(2)}`;
}
