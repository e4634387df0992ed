import { createHash } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { startFileServer } from './files.ts';
import type { ServedFile } from './send-file.ts';

const text = (content: string, rest: Partial<ServedFile> = {}): ServedFile => ({
  content: Buffer.from(content),
  ...rest,
});

const startWith = (rest: Partial<ServedFile>) =>
  startFileServer({ files: { '/a': text('0123456789', rest) } });

test('a generated file of many megabytes is sent completely, and its hash is known', async () => {
  await using server = await startFileServer({
    files: { '/big': { content: { patternBytes: 2e7 } } },
  });
  const hash = createHash('sha256');
  const response = await fetch(`${server.url}/big`);
  expect(response.headers.get('content-length')).toBe('20000000');
  for await (const piece of response.body!) hash.update(piece as Uint8Array);
  expect(hash.digest('hex')).toBe(server.sha256('/big'));
});

test.each([
  [{}, 206, '456789'],
  [{ ranges: false }, 200, '0123456789'],
] as const)('a range of a file %j is answered with %d', async (rest, status, body) => {
  await using server = await startWith(rest);
  const response = await fetch(`${server.url}/a`, { headers: { range: 'bytes=4-' } });
  expect([response.status, await response.text()]).toEqual([status, body]);
});

test('a range with an old If-Range gives the whole file; a range beyond the end gives 416', async () => {
  await using server = await startWith({ etag: 'changing' });
  const first = await fetch(`${server.url}/a`);
  const tag = first.headers.get('etag')!;
  const again = await fetch(`${server.url}/a`, { headers: { range: 'bytes=4-', 'if-range': tag } });
  expect([again.status, await again.text()]).toEqual([200, '0123456789']);
  const beyond = await fetch(`${server.url}/a`, { headers: { range: 'bytes=10-' } });
  expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, 'bytes */10']);
});

test('a dropped download can be resumed', async () => {
  await using server = await startWith({});
  server.failNext('/a', { kind: 'drop', afterBytes: 4 });
  const broken = await fetch(`${server.url}/a`);
  await expect(broken.text()).rejects.toThrow();
  const rest = await fetch(`${server.url}/a`, {
    headers: { range: 'bytes=4-', 'if-range': '"one"' },
  });
  expect(await rest.text()).toBe('456789');
});

test.each([20, 5])('Content-Length can be %d for ten bytes', async (bytes) => {
  await using server = await startWith({ fault: { kind: 'claim', bytes } });
  const response = await fetch(`${server.url}/a`);
  expect(response.headers.get('content-length')).toBe(String(bytes));
  const body = response.text();
  if (bytes > 10) await expect(body).rejects.toThrow();
  else expect(await body).toBe('01234');
});

test('a file can be sent without a length, or compressed for a client that accepts it', async () => {
  await using server = await startFileServer({
    files: { '/chunked': text('abc', { chunked: true }), '/gzip': text('abc', { gzip: true }) },
  });
  const chunked = await fetch(`${server.url}/chunked`);
  expect([chunked.headers.get('content-length'), await chunked.text()]).toEqual([null, 'abc']);
  const gzip = await fetch(`${server.url}/gzip`);
  expect([gzip.headers.get('content-encoding'), await gzip.text()]).toEqual(['gzip', 'abc']);
  const identity = { headers: { 'accept-encoding': 'identity' } };
  const plain = await fetch(`${server.url}/gzip`, identity);
  expect(plain.headers.get('content-encoding')).toBeNull();
});

test.each([
  [{ kind: 'bearer', token: 't' }, { authorization: 'Bearer t' }, ''],
  [{ kind: 'basic', user: 'u', password: 'p' }, { authorization: 'Basic dTpw' }, ''],
  [{ kind: 'header', name: 'X-Key', value: 'k' }, { 'x-key': 'k' }, ''],
  [{ kind: 'query', name: 'key', value: 'k' }, {}, '?key=k'],
] as const)('a file that needs %j is given to who has it', async (needs, headers, query) => {
  await using server = await startWith({ needs });
  expect((await fetch(`${server.url}/a`)).status).toBe(401);
  expect((await fetch(`${server.url}/a${query}`, { headers })).status).toBe(200);
});

test('a redirect leads to its target, and every request is recorded with its status', async () => {
  await using server = await startFileServer({
    files: {
      '/r': { redirect: { to: 'http://169.254.169.254/latest', status: 307 } },
      '/loop': { redirect: { to: '/loop' } },
    },
  });
  const response = await fetch(`${server.url}/r`, { redirect: 'manual' });
  expect(response.headers.get('location')).toBe('http://169.254.169.254/latest');
  await expect(fetch(`${server.url}/loop`)).rejects.toThrow();
  await fetch(`${server.url}/none`);
  expect(server.requests.at(0)).toMatchObject({ path: '/r', status: 307 });
  expect(server.requests.at(-1)).toMatchObject({ path: '/none' });
});

test('a stalled answer begins and does not end; a refused one has its status', async () => {
  await using server = await startWith({ fault: { kind: 'stall', afterBytes: 3 } });
  server.failNext('/a', { kind: 'refuse', status: 503, headers: { 'retry-after': '1' } });
  const refused = await fetch(`${server.url}/a`);
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
  const giveUp = new AbortController();
  const stalled = await fetch(`${server.url}/a`, { signal: giveUp.signal });
  const reader = stalled.body!.getReader();
  const first = (await reader.read()) as { readonly value: Uint8Array };
  expect(Buffer.from(first.value).toString()).toBe('012');
  const rest = reader.read();
  giveUp.abort();
  await expect(rest).rejects.toThrow();
});
