import { createHash, randomUUID } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import { isError } from '../errors.ts';
import { startFileServer, type FileServer } from '../simulator/stand-ins/files.ts';
import { startS3Simulator } from '../simulator/stand-ins/s3.ts';
import { CredentialsSchema } from './credentials.ts';
import { Downloader, type DownloadSettings } from './downloader.ts';

const never = new AbortController().signal;
const SETTINGS = {
  maxBytes: 10_000_000,
  timeoutMs: 20_000,
  idleTimeoutMs: 10_000,
};
const FILE = { patternBytes: 300_000 };

interface Server {
  readonly url: string;
}

/** A folder and a downloader that may talk to these servers. */
async function startDownloads(
  servers: readonly Server[],
  { retries = 3, ...settings }: Partial<DownloadSettings> & { readonly retries?: number } = {},
) {
  const folder = await mkdtemp(join(tmpdir(), 'download-'));
  const allowPrivate = servers.map(({ url }) => new URL(url).host);
  const retryPolicy = { retries, firstMs: 1, maxMs: 1, jitter: false };
  const downloader = new Downloader({ ...SETTINGS, retryPolicy, allowPrivate, ...settings });
  return {
    folder,
    get: (url: string, credentials: unknown = [], signal = never) =>
      downloader.download(url, {
        newPath: () => Promise.resolve(join(folder, randomUUID())),
        credentials: CredentialsSchema.parse(credentials),
        signal,
      }),
    failure: async function (url: string, credentials: unknown = []): Promise<string> {
      const before = await readdir(folder);
      const error: unknown = await this.get(url, credentials).catch((reason: unknown) => reason);
      if (!isError(error)) throw new Error('The download did not fail');
      expect(await readdir(folder)).toEqual(before);
      return error.message;
    },
    [Symbol.asyncDispose]: async () => {
      await downloader[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

async function startServer(listener: RequestListener) {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

const rangesOf = ({ requests }: FileServer) => requests.map(({ headers }) => headers.range);

test('a downloaded file is complete and described by size, digest and media type', async () => {
  const png = Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
    'base64',
  );
  await using server = await startFileServer({
    files: {
      '/big': { content: FILE },
      '/a%20cat.bin': { content: FILE },
      '/lie.txt': { content: png, mediaType: 'text/plain' },
      '/clip': { content: FILE, mediaType: 'video/mp4; codecs=x' },
      '/chunked.wav': { content: FILE, chunked: true },
    },
  });
  await using downloads = await startDownloads([server]);
  const big = await downloads.get(`${server.url}/big`);
  expect(big).toMatchObject({ bytes: 300_000, digest: server.sha256('/big'), filename: 'big' });
  const bytes = await readFile(big.path);
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(big.digest);
  expect(await downloads.get(`${server.url}/lie.txt?x=1`)).toMatchObject({
    mediaType: 'image/png',
    filename: 'lie.txt',
  });
  expect((await downloads.get(`${server.url}/clip`)).mediaType).toBe('video/mp4');
  expect((await downloads.get(`${server.url}/chunked.wav`)).mediaType).toBe('audio/wav');
});

test('a broken transfer is resumed where it broke', async () => {
  await using server = await startFileServer({ files: { '/half': { content: FILE } } });
  await using downloads = await startDownloads([server]);
  server.failNext('/half', { kind: 'drop', afterBytes: 131_072 }, 2);
  const file = await downloads.get(`${server.url}/half`);
  expect(file.digest).toBe(server.sha256('/half'));
  expect(rangesOf(server)[0]).toBeUndefined();
  expect(
    rangesOf(server)
      .slice(1)
      .every((range) => /^bytes=\d+-$/.test(range ?? '')),
  ).toBe(true);
  expect(server.requests.at(-1)).toMatchObject({ status: 206 });
});

test.each([
  ['cannot resume', { ranges: false }],
  ['has another version by now', { etag: 'changing' }],
  ['sends no ETag', { etag: 'none' }],
] as const)('the whole file is fetched again from a server that %s', async (_, how) => {
  await using server = await startFileServer({ files: { '/half': { content: FILE, ...how } } });
  await using downloads = await startDownloads([server]);
  server.failNext('/half', { kind: 'drop', afterBytes: 131_072 });
  const file = await downloads.get(`${server.url}/half`);
  expect(file).toMatchObject({ bytes: 300_000, digest: server.sha256('/half') });
});

test('an attempt that made progress is not counted as a retry', async () => {
  await using server = await startFileServer({
    files: { '/long': { content: { patternBytes: 5_000_000 } } },
  });
  server.failNext('/long', { kind: 'stall', afterBytes: 2_097_152 }, 2);
  await using downloads = await startDownloads([server], { retries: 1, idleTimeoutMs: 200 });
  const file = await downloads.get(`${server.url}/long`);
  expect(file.digest).toBe(server.sha256('/long'));
  expect(server.requests).toHaveLength(3);
});

test('a server that sends less than it announces fails the download, with both numbers in the error', async () => {
  await using server = await startFileServer({
    files: { '/liar': { content: FILE, ranges: false, fault: { kind: 'claim', bytes: 400_000 } } },
  });
  await using downloads = await startDownloads([server]);
  expect(await downloads.failure(`${server.url}/liar`)).toMatch(
    /\[GET\] http:.*\/liar: .* after \d+ of 400000 bytes, after 4 tries$/,
  );
});

test('a server that stalls is given up after the idle timeout, and asked again for the rest', async () => {
  await using server = await startFileServer({ files: { '/slow': { content: FILE } } });
  await using downloads = await startDownloads([server], { idleTimeoutMs: 300, retries: 1 });
  server.failNext('/slow', { kind: 'stall', afterBytes: 131_072 });
  expect((await downloads.get(`${server.url}/slow`)).digest).toBe(server.sha256('/slow'));
  expect(rangesOf(server)).toEqual([undefined, 'bytes=131072-']);
  server.failNext('/slow', { kind: 'hang' }, 9);
  expect(await downloads.failure(`${server.url}/slow`)).toMatch(
    /did not answer in time, after 2 tries/,
  );
});

test('a transfer that is too slow ends at the timeout for one file', async () => {
  await using server = await startFileServer({
    files: { '/drip': { content: FILE, fault: { kind: 'slow', bytesPerSecond: 100 } } },
  });
  await using downloads = await startDownloads([server], { timeoutMs: 500 });
  expect(await downloads.failure(`${server.url}/drip`)).toMatch(
    /was not fetched within 0\.5 s \(DOWNLOAD_TIMEOUT_S\)$/,
  );
});

test('a file that is too large is refused before its first byte, or when it passes the limit', async () => {
  await using server = await startFileServer({
    files: { '/told': { content: FILE }, '/untold': { content: FILE, chunked: true } },
  });
  await using downloads = await startDownloads([server], { maxBytes: 200_000 });
  expect(await downloads.failure(`${server.url}/told`)).toMatch(
    /has 300000 bytes, and at most 200000 bytes are fetched \(DOWNLOAD_MAX_BYTES\)$/,
  );
  expect(await downloads.failure(`${server.url}/untold`)).toMatch(/has more, and at most 200000/);
  expect(server.requests).toHaveLength(2);
});

test('a compressed answer is decompressed; one that is truncated or a bomb is an error', async () => {
  const zeros = gzipSync(Buffer.alloc(5_000_000));
  await using server = await startServer((request, response) => {
    const body = request.url === '/cut' ? zeros.subarray(0, 2000) : zeros;
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(body);
  });
  await using downloads = await startDownloads([server], { retries: 0 });
  expect(await downloads.get(`${server.url}/zeros`)).toMatchObject({ bytes: 5_000_000 });
  expect(await downloads.failure(`${server.url}/cut`)).toMatch(/compressed answer ended early/);
  await using strict = await startDownloads([server], { retries: 0, maxBytes: 1_000_000 });
  expect(await strict.failure(`${server.url}/bomb`)).toMatch(/at most 1000000 bytes/);
});

test.each([
  [404, {}, /404 Not Found$/, 1],
  [410, {}, /410 Gone$/, 1],
  [403, {}, /403 Forbidden; what lets us in goes into input\.credentials$/, 1],
  [503, { 'retry-after': '0' }, /503 Service Unavailable, after 4 tries$/, 4],
  [429, {}, /429 Too Many Requests, after 4 tries$/, 4],
] as const)(
  'the error names status %i, and the request is repeated only if that may help',
  async (status, headers, text, asked) => {
    await using server = await startFileServer({
      files: { '/x': { content: FILE, fault: { kind: 'refuse', status, headers } } },
    });
    await using downloads = await startDownloads([server]);
    expect(await downloads.failure(`${server.url}/x?secret=1`)).toMatch(text);
    expect(server.requests).toHaveLength(asked);
  },
);

test('an empty file is an error', async () => {
  await using server = await startFileServer({ files: { '/0': { content: new Uint8Array() } } });
  await using downloads = await startDownloads([server]);
  expect(await downloads.failure(`${server.url}/0`)).toMatch(/: the file is empty$/);
});

test('a job that is stopped leaves no file behind', async () => {
  await using server = await startFileServer({
    files: { '/x': { content: FILE, fault: { kind: 'stall', afterBytes: 1000 } } },
  });
  await using downloads = await startDownloads([server]);
  const stop = new AbortController();
  const download = downloads.get(`${server.url}/x`, [], stop.signal);
  stop.abort(new Error('stopped'));
  await expect(download).rejects.toThrow('stopped');
  expect(await readdir(downloads.folder)).toEqual([]);
});

const NOT_PUBLIC = /the host is not on the public internet/;

test.each([
  'http://169.254.169.254/latest/meta-data/',
  'http://127.0.0.1:1/',
  'http://localhost:8188/',
  'http://[::1]:8188/',
  'http://[::ffff:169.254.169.254]/',
  'http://0x7f000001/',
  'http://2130706433/',
  'http://100.64.0.1/',
])('the private address %s is not fetched, and not tried again', async (url) => {
  await using downloads = await startDownloads([]);
  expect(await downloads.failure(url)).toMatch(NOT_PUBLIC);
});

test.each(['file:///etc/passwd', 'ftp://example.com/a', 'data:text/plain,a', 'gopher://x', '/a'])(
  '%s is not a URL that can be fetched',
  async (url) => {
    await using downloads = await startDownloads([]);
    expect(await downloads.failure(url)).toMatch(/https:\/\/(,| and| or)/);
  },
);

test('a redirect is followed, even to another server if that is allowed', async () => {
  await using other = await startFileServer({ files: { '/file': { content: FILE } } });
  await using server = await startFileServer({
    files: {
      '/a': { redirect: { to: '/b', status: 301 } },
      '/b': { redirect: { to: `${other.url}/file`, status: 307 } },
    },
  });
  await using downloads = await startDownloads([server, other]);
  expect(await downloads.get(`${server.url}/a`)).toMatchObject({ digest: other.sha256('/file') });
});

test.each([
  ['http://169.254.169.254/latest/meta-data/', NOT_PUBLIC],
  ['http://127.0.0.1:8188/', NOT_PUBLIC],
  ['//[::1]/x', NOT_PUBLIC],
  ['file:///etc/passwd', /redirects from http:\/\/ to file:\/\/, which is not followed$/],
  ['/loop', /redirects more than 10 times$/],
  ['http://', /redirects to something that is no URL$/],
])('a redirect to %s is not followed', async (to, message) => {
  await using server = await startFileServer({ files: { '/loop': { redirect: { to } } } });
  await using downloads = await startDownloads([server]);
  expect(await downloads.failure(`${server.url}/loop`)).toMatch(message);
});

test.each([
  [
    { type: 'bearer', token: 's3cret' },
    { kind: 'bearer', token: 's3cret' },
  ],
  [
    { type: 'basic', username: 'me', password: 's3cret' },
    { kind: 'basic', user: 'me', password: 's3cret' },
  ],
  [
    { type: 'header', header_name: 'X-Key', header_value: 's3cret' },
    { kind: 'header', name: 'X-Key', value: 's3cret' },
  ],
  [
    { type: 'query', query_param: 'key', query_value: 's3cret' },
    { kind: 'query', name: 'key', value: 's3cret' },
  ],
] as const)(
  'credentials %j are sent to the server they are for, and no error shows them',
  async (auth, needs) => {
    await using server = await startFileServer({ files: { '/in/x': { content: FILE, needs } } });
    await using downloads = await startDownloads([server]);
    const given = [{ url_pattern: `${server.url}/**`, auth }];
    expect(await downloads.get(`${server.url}/in/x`, given)).toMatchObject({ bytes: 300_000 });
    const elsewhere = [{ url_pattern: `${server.url}/*`, auth }];
    const message = await downloads.failure(`${server.url}/in/x?key=s3cret2`, elsewhere);
    expect(message).toMatch(/401 Unauthorized; what lets us in/);
    expect(message).not.toContain('s3cret');
  },
);

test('user and password in a URL are sent, and no error shows them', async () => {
  const needs = { kind: 'basic', user: 'me', password: 'p:w' } as const;
  await using server = await startFileServer({ files: { '/x': { content: FILE, needs } } });
  await using downloads = await startDownloads([server]);
  const { host } = new URL(server.url);
  expect(await downloads.get(`http://me:p%3Aw@${host}/x`)).toMatchObject({ bytes: 300_000 });
  expect(await downloads.failure(`http://me:wrong@${host}/x`)).not.toMatch(/wrong|me:/);
});

test('credentials are not sent to another server after a redirect', async () => {
  await using other = await startFileServer({ files: { '/file': { content: FILE } } });
  await using server = await startFileServer({
    files: { '/a': { redirect: { to: `${other.url}/file` } } },
  });
  await using downloads = await startDownloads([server, other]);
  const auth = { type: 'bearer', token: 's3cret' };
  await downloads.get(`${server.url}/a`, [{ url_pattern: `${server.url}/**`, auth }]);
  expect(server.requests[0]?.headers.authorization).toBe('Bearer s3cret');
  expect(other.requests[0]?.headers.authorization).toBeUndefined();
});

test("an s3:// URL is presigned for the store in the credentials, and a refusal has the store's error code", async () => {
  await using s3 = await startS3Simulator({ buckets: ['assets'] });
  const auth = {
    type: 's3',
    access_key_id: s3.accessKeyId,
    secret_access_key: s3.secretAccessKey,
    endpoint: s3.url,
  };
  await using downloads = await startDownloads([s3]);
  await putObject(s3, 'assets', 'a folder/clip.mp4');
  const credentials = [{ url_pattern: 's3://assets/**', auth }];
  const file = await downloads.get('s3://assets/a folder/clip.mp4', credentials);
  expect(file).toMatchObject({ bytes: 5, filename: 'clip.mp4', mediaType: 'video/mp4' });
  const wrong = [{ url_pattern: 's3://**', auth: { ...auth, secret_access_key: 'wr0ng' } }];
  const message = await downloads.failure('s3://assets/a folder/clip.mp4', wrong);
  expect(message).toMatch(/403 Forbidden \(SignatureDoesNotMatch\)/);
  expect(message).not.toMatch(/wr0ng|Signature=/);
  expect(await downloads.failure('s3://assets/none', credentials)).toMatch(
    /404 Not Found \(NoSuchKey\)/,
  );
  const bearer = [{ url_pattern: 's3://**', auth: { type: 'bearer', token: 't' } }];
  expect(await downloads.failure('s3://assets/none', bearer)).toMatch(/s3:\/\/ needs "s3"$/);
});

async function putObject(
  s3: Awaited<ReturnType<typeof startS3Simulator>>,
  bucket: string,
  key: string,
) {
  const { PutObjectCommand, S3Client } = await import('@aws-sdk/client-s3');
  const { url: endpoint, accessKeyId, secretAccessKey } = s3;
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    requestChecksumCalculation: 'WHEN_REQUIRED',
  });
  await client.send(
    new PutObjectCommand({
      Bucket: bucket,
      Key: key,
      Body: 'bytes',
      ContentType: 'binary/octet-stream',
    }),
  );
  client.destroy();
}
