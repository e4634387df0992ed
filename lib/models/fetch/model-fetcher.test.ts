import { createHash } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { startFileServer, type FileServer } from '../../simulator/stand-ins/files.ts';
import { never, safetensors, startFetchRig } from '../test-models.ts';

const MIB = 1024 * 1024;
const MODEL = safetensors(9 * MIB);
const SHA256 = createHash('sha256').update(MODEL).digest('hex');

const ranges = ({ requests }: FileServer) =>
  requests.map(({ headers }) => {
    const [, start, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
    return { start: Number(start), end: Number(last) + 1 };
  });

test('a model is downloaded in ranges over several connections, verified, and has its name only at the end', async () => {
  await using server = await startFileServer({ files: { '/m.safetensors': { content: MODEL } } });
  await using rig = await startFetchRig();
  const seen: number[] = [];
  const path = join(rig.folder, 'm.safetensors');
  const fetched = await rig.fetcher.fetch(
    { url: `${server.url}/m.safetensors`, path, sha256: SHA256, size: MODEL.length },
    { signal: never, onProgress: ({ bytes }) => seen.push(bytes) },
  );
  expect(fetched).toMatchObject({ path, bytes: MODEL.length, sha256: SHA256, wasHere: false });
  expect(MODEL.equals(await readFile(path))).toBe(true);
  expect(await rig.files()).toEqual(['m.safetensors']);
  expect(seen.at(-1)).toBe(MODEL.length);
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  const requested = ranges(server);
  expect(requested.length).toBeGreaterThan(4);
  const sum = requested.reduce((bytes, { start, end }) => bytes + end - start, 0);
  expect(sum).toBe(MODEL.length); // no byte twice
});

test('a model that is here is not asked for', async () => {
  await using server = await startFileServer({ files: { '/m.safetensors': { content: MODEL } } });
  await using rig = await startFetchRig();
  const url = `${server.url}/m.safetensors`;
  await rig.fetch(url, { size: MODEL.length });
  const count = server.requests.length;
  expect(await rig.fetch(url, { size: MODEL.length })).toMatchObject({ wasHere: true });
  expect(await rig.fetch(url, { sha256: SHA256 })).toMatchObject({ wasHere: true });
  expect(server.requests).toHaveLength(count);
});

test('a file of the right name with other bytes is replaced', async () => {
  await using server = await startFileServer({ files: { '/m.safetensors': { content: MODEL } } });
  await using rig = await startFetchRig();
  await writeFile(join(rig.folder, 'model.safetensors'), 'an old version');
  expect(await rig.fetch(`${server.url}/m.safetensors`, { sha256: SHA256 })).toMatchObject({
    wasHere: false,
  });
});

test('connections that break or are refused are opened again, and continue where they broke', async () => {
  await using server = await startFileServer({ files: { '/m.safetensors': { content: MODEL } } });
  await using rig = await startFetchRig();
  server.failNext('/m.safetensors', { kind: 'drop', afterBytes: 300_000 }, 3);
  server.failNext('/m.safetensors', { kind: 'refuse', status: 502 }, 2);
  expect(await rig.fetch(`${server.url}/m.safetensors`)).toMatchObject({ sha256: SHA256 });
});

test('a server that answers 429 gets fewer connections', async () => {
  await using server = await startFileServer({ files: { '/m.safetensors': { content: MODEL } } });
  await using rig = await startFetchRig({ connections: 8 });
  server.failNext('/m.safetensors', { kind: 'refuse', status: 429 }, 2);
  expect(await rig.fetch(`${server.url}/m.safetensors`)).toMatchObject({ sha256: SHA256 });
});

test('a connection that stalls is given up and opened again', async () => {
  await using server = await startFileServer({ files: { '/m.safetensors': { content: MODEL } } });
  await using rig = await startFetchRig({ idleTimeoutMs: 200 });
  server.failNext('/m.safetensors', { kind: 'stall', afterBytes: 200_000 }, 2);
  server.failNext('/m.safetensors', { kind: 'hang' });
  expect(await rig.fetch(`${server.url}/m.safetensors`)).toMatchObject({ sha256: SHA256 });
});

test('a server that drips is given up after the retries', async () => {
  const slow = { kind: 'slow', bytesPerSecond: 2000 } as const;
  await using server = await startFileServer({
    files: { '/m.safetensors': { content: MODEL, fault: slow } },
  });
  await using rig = await startFetchRig({
    idleTimeoutMs: 500,
    retryPolicy: { retries: 1, firstMs: 1, maxMs: 1, jitter: false },
  });
  const { code, message } = await rig.failure(`${server.url}/m.safetensors`);
  expect(code).toBe('model.download_failed');
  expect(message).toContain('almost stopped sending');
});

test.each([
  ['sends no ranges', { ranges: false }],
  ['sends no ETag and nothing else tells versions apart', { etag: 'none' }],
  ['does not tell the length', { ranges: false, chunked: true }],
] as const)('a server that %s gets one connection', async (_, behaviour) => {
  await using server = await startFileServer({
    files: { '/m.safetensors': { content: MODEL, ...behaviour } },
  });
  await using rig = await startFetchRig();
  server.failNext('/m.safetensors', { kind: 'drop', afterBytes: 2 * MIB });
  expect(await rig.fetch(`${server.url}/m.safetensors`)).toMatchObject({ sha256: SHA256 });
  expect(server.requests.length).toBeLessThan(6);
});

test('without an ETag, ranges are used if the SHA-256 is known', async () => {
  await using server = await startFileServer({
    files: { '/m.safetensors': { content: MODEL, etag: 'none' } },
  });
  await using rig = await startFetchRig();
  await rig.fetch(`${server.url}/m.safetensors`, { sha256: SHA256 });
  expect(server.requests.length).toBeGreaterThan(4);
});

test('a download that was stopped is resumed by the next one', async () => {
  await using server = await startFileServer({ files: { '/m.safetensors': { content: MODEL } } });
  await using rig = await startFetchRig();
  const stop = new AbortController();
  server.failNext('/m.safetensors', { kind: 'stall', afterBytes: 100_000 }, 1);
  const path = join(rig.folder, 'model.safetensors');
  const url = `${server.url}/m.safetensors`;
  const stopped = rig.fetcher.fetch(
    { url, path },
    {
      signal: stop.signal,
      onProgress: ({ bytes }) => bytes > 3 * MIB && stop.abort(new Error('enough')),
    },
  );
  await expect(stopped).rejects.toThrow('enough');
  while ((await rig.files()).includes('model.safetensors.part.lock'))
    await new Promise((resolve) => setImmediate(resolve));
  expect(await rig.files()).toEqual(['model.safetensors.part', 'model.safetensors.part.journal']);
  const count = server.requests.length;
  expect(await rig.fetch(url)).toMatchObject({ sha256: SHA256 });
  const again = ranges(server)
    .slice(count)
    .reduce((bytes, { start, end }) => bytes + end - start, 0);
  expect(again).toBeLessThan(7 * MIB);
});

test('bytes that a machine lost when it went down are fetched again, although the journal has them', async () => {
  await using server = await startFileServer({ files: { '/m.safetensors': { content: MODEL } } });
  await using rig = await startFetchRig();
  const part = join(rig.folder, 'model.safetensors.part');
  const head = { total: MODEL.length, etag: '"one"', key: SHA256, boot: 'an earlier one' };
  await writeFile(part, Buffer.alloc(MODEL.length));
  await writeFile(`${part}.journal`, `${JSON.stringify(head)}\n0 ${MODEL.length}\n`);
  const fetched = await rig.fetch(`${server.url}/m.safetensors`, { sha256: SHA256 });
  expect(fetched).toMatchObject({ sha256: SHA256, wasHere: false });
  expect(await rig.files()).toEqual(['model.safetensors']);
});

test('a torn line of the journal, with the next one appended to it, claims no bytes', async () => {
  await using server = await startFileServer({ files: { '/m.safetensors': { content: MODEL } } });
  await using rig = await startFetchRig();
  const part = join(rig.folder, 'model.safetensors.part');
  const head = { total: MODEL.length, etag: '"one"', key: SHA256, boot: 'an earlier one' };
  const half = Buffer.alloc(MODEL.length);
  MODEL.copy(half, 0, 0, MIB);
  await writeFile(part, half);
  const lines = `0 ${MIB}\n${MIB} ${2 * MIB} 5\n`;
  await writeFile(`${part}.journal`, `${JSON.stringify(head)}\n${lines}`);
  await rig.fetch(`${server.url}/m.safetensors`, { sha256: SHA256 });
  const sum = ranges(server).reduce((bytes, { start, end }) => bytes + end - start, 0);
  expect(sum).toBe(MODEL.length - MIB);
});

test('bytes of another version are not mixed: the download begins anew', async () => {
  const files = { '/m.safetensors': { content: MODEL, etag: 'changing' } } as const;
  await using changing = await startFileServer({ files });
  await using rig = await startFetchRig();
  expect(await rig.failure(`${changing.url}/m.safetensors`)).toMatchObject({
    code: 'model.refused',
    message: expect.stringContaining('keeps changing') as unknown,
  });
  expect(await rig.files()).toEqual([]);
});

test('one download serves all who ask for the same content, under one name or several', async () => {
  await using server = await startFileServer({ files: { '/m.safetensors': { content: MODEL } } });
  await using rig = await startFetchRig();
  const url = `${server.url}/m.safetensors`;
  const signed = (signature: string) => `${url}?X-Amz-Signature=${signature}`;
  const all = await Promise.all([
    rig.fetch(url),
    rig.fetch(url),
    rig.fetch(signed('a'), { name: 'other.safetensors' }),
    rig.fetch(signed('b')),
  ]);
  expect(all.map(({ sha256 }) => sha256)).toEqual(Array(4).fill(SHA256));
  expect(await rig.files()).toEqual(['model.safetensors', 'other.safetensors']);
  const sum = ranges(server).reduce((bytes, { start, end }) => bytes + end - start, 0);
  expect(sum).toBe(MODEL.length);
});

test('a caller that leaves does not stop the download of the others', async () => {
  await using server = await startFileServer({ files: { '/m.safetensors': { content: MODEL } } });
  await using rig = await startFetchRig();
  const leaving = new AbortController();
  const left = rig.fetch(`${server.url}/m.safetensors`, {}, leaving.signal);
  const stayed = rig.fetch(`${server.url}/m.safetensors`);
  leaving.abort(new Error('gone'));
  await expect(left).rejects.toThrow('gone');
  expect(await stayed).toMatchObject({ sha256: SHA256 });
});

test('two fetchers, as in two processes, download a model once', async () => {
  await using server = await startFileServer({ files: { '/m.safetensors': { content: MODEL } } });
  await using one = await startFetchRig();
  await using two = await startFetchRig();
  const model = { url: `${server.url}/m.safetensors`, path: join(one.folder, 'm.safetensors') };
  const results = await Promise.all(
    [one, two].map(({ fetcher }) =>
      fetcher.fetch({ ...model, size: MODEL.length }, { signal: never }),
    ),
  );
  expect(results.map(({ wasHere }) => wasHere).sort()).toEqual([false, true]);
  expect(await one.files()).toEqual(['m.safetensors']);
});

test.each([
  ['an HTML page', '<!DOCTYPE html><title>Login</title>', 'model.safetensors', 'HTML page'],
  [
    'a pointer of Git LFS',
    'version https://git-lfs.github.com/spec/v1\noid sha256:0',
    'a.ckpt',
    'Git LFS',
  ],
  ['a broken safetensors file', 'garbage that is long enough', 'a.safetensors', 'safetensors'],
  ['a file that is no GGUF', 'garbage', 'a.gguf', 'GGUF'],
])('%s is refused, and nothing stays', async (_, body, name, reason) => {
  await using server = await startFileServer({ files: { '/m': { content: Buffer.from(body) } } });
  await using rig = await startFetchRig();
  const { code, message } = await rig.failure(`${server.url}/m`, { name });
  expect([code, message]).toEqual(['model.refused', expect.stringContaining(reason)]);
  expect(await rig.files()).toEqual([]);
});

test('a safetensors file whose header promises more bytes than there are is refused', async () => {
  const short = MODEL.subarray(0, 5 * MIB);
  await using server = await startFileServer({ files: { '/m.safetensors': { content: short } } });
  await using rig = await startFetchRig();
  expect((await rig.failure(`${server.url}/m.safetensors`)).message).toMatch(/header promises \d+/);
});

test('a page with the media type HTML is refused whatever it contains', async () => {
  const file = { content: MODEL, mediaType: 'text/html; charset=utf-8' };
  await using server = await startFileServer({ files: { '/m': file } });
  await using rig = await startFetchRig();
  expect((await rig.failure(`${server.url}/m`)).code).toBe('model.refused');
});

test('another SHA-256 or another size than the manifest promises is refused, and nothing stays', async () => {
  await using server = await startFileServer({ files: { '/m.safetensors': { content: MODEL } } });
  await using rig = await startFetchRig();
  const url = `${server.url}/m.safetensors`;
  const wrong = 'a'.repeat(64);
  expect((await rig.failure(url, { sha256: wrong })).message).toContain(`its SHA-256 is ${SHA256}`);
  expect((await rig.failure(url, { size: 5 })).message).toContain('and 5 were promised');
  expect(await rig.files()).toEqual([]);
});

test('a model that does not fit on the disk is refused before a byte is stored', async () => {
  const huge = { kind: 'claim', bytes: 2 ** 50 } as const;
  const file = { content: MODEL, ranges: false, fault: huge };
  await using server = await startFileServer({ files: { '/m.safetensors': file } });
  await using rig = await startFetchRig();
  const { code, message } = await rig.failure(`${server.url}/m.safetensors`);
  expect([code, message]).toEqual([
    'model.not_stored',
    expect.stringMatching(/needs .* GB.* left/),
  ]);
});

test('a URL of a caller may not lead into the private network', async () => {
  await using server = await startFileServer({ files: { '/m.safetensors': { content: MODEL } } });
  await using rig = await startFetchRig({ allowPrivate: [] });
  const { code, message } = await rig.failure(`${server.url}/m.safetensors`);
  expect([code, message]).toEqual(['model.refused', expect.stringContaining('public internet')]);
});

test('a lock left by a process that is gone does not stop a download', async () => {
  await using server = await startFileServer({ files: { '/m.safetensors': { content: MODEL } } });
  await using rig = await startFetchRig();
  const lock = join(rig.folder, 'model.safetensors.part.lock');
  await writeFile(lock, '{"id":"x","pid":1,"home":"another machine"}');
  const fetching = rig.fetch(`${server.url}/m.safetensors`);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect((await stat(lock)).size).toBeGreaterThan(0); // its owner may still be alive
  const { home } = await import('./file-lock.ts');
  await writeFile(lock, JSON.stringify({ id: 'x', pid: 2 ** 22 + 1, home: await home() }));
  expect(await fetching).toMatchObject({ sha256: SHA256 });
});
