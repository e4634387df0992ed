import { expect, test } from '@jest/globals';
import { startPutTarget, type PutTarget } from '../simulator/stand-ins/put-target.ts';
import { HttpFolder, PutTargets, type HttpFolderSettings } from './http-stores.ts';
import { Sender } from './sender.ts';
import { never, PIXELS, storedFile } from './test-file.ts';

function targetsAt(
  server: PutTarget,
  targets: ConstructorParameters<typeof PutTargets>[0],
  { silenceMs = 10_000 } = {},
) {
  const sender = new Sender({ allowPrivate: [server.host], retryDelayMs: 1, silenceMs });
  return new PutTargets(targets, { sender, transfers: 4 });
}

const named = (...filenames: string[]) =>
  filenames.map((filename, index) => storedFile({ filename, index }));

test('a file is put to its URL unchanged, and the address has no signature', async () => {
  await using server = await startPutTarget();
  await using targets = targetsAt(server, [{ url: server.signed('/out/first.png') }]);
  const stored = await targets.store([storedFile()], never());
  expect(stored).toEqual([{ address: `${server.url}/out/first.png` }]);
  const put = server.files.get('/out/first.png')!;
  expect([put.bytes.equals(PIXELS), put.mediaType]).toEqual([true, 'image/png']);
  expect(server.requests[0]?.headers).toMatchObject({ 'content-length': '70000' });
  expect(server.requests[0]?.headers).not.toHaveProperty('transfer-encoding');
});

test('headers the caller signed are sent; those of the connection cannot be set', async () => {
  await using server = await startPutTarget();
  const headers = {
    'Content-Type': 'x/signed',
    'x-amz-acl': 'private',
    'Content-Length': '5',
    Host: 'a',
  };
  await using targets = targetsAt(server, [{ url: server.signed('/a'), headers }]);
  await targets.store([storedFile()], never());
  expect(server.requests[0]?.headers).toMatchObject({
    'content-type': 'x/signed',
    'x-amz-acl': 'private',
    'content-length': '70000',
    host: server.host,
  });
});

test('URLs with an index or a match are for that file; the others are assigned in order', async () => {
  await using server = await startPutTarget();
  const url = (path: string) => server.signed(path);
  await using targets = targetsAt(server, [
    { url: url('/rest-1') },
    { url: url('/second'), index: 1 },
    { url: url('/video'), match: '*.mp4' },
    { url: url('/rest-2') },
  ]);
  const files = named('a.png', 'b.png', 'c.png', 'd.mp4');
  const stored = await targets.store(files, never());
  expect(stored).toEqual(
    ['/rest-1', '/second', '/rest-2', '/video'].map((path) => ({ address: server.url + path })),
  );
});

test('a match of 469 characters with five stars does not block the worker', async () => {
  await using server = await startPutTarget();
  const run = 'a'.repeat(92);
  const match = `*${run}*${run}*${run}*${run}*${run}bcde`;
  await using targets = targetsAt(server, [{ url: server.signed('/a'), match }]);
  expect(await targets.store(named(`${'a'.repeat(20_000)}.png`), never())).toEqual([
    { problem: expect.stringContaining('none of its URLs is left') },
  ]);
});

test('a file without a URL has a problem, and the others are stored', async () => {
  await using server = await startPutTarget();
  await using targets = targetsAt(server, [{ url: server.signed('/a') }]);
  expect(await targets.store(named('a.png', 'b.png'), never())).toEqual([
    { address: `${server.url}/a` },
    { problem: expect.stringContaining('none of its URLs is left') },
  ]);
});

test('a form has its fields first and the file last; with ${filename} it takes every file', async () => {
  await using server = await startPutTarget();
  const fields = { key: 'job/${filename}', signature: 'good', policy: 'p' };
  await using targets = targetsAt(server, [{ url: `${server.url}/`, method: 'POST', fields }]);
  const stored = await targets.store(named('a.png', 'b c.png'), never());
  expect(stored).toEqual([
    { address: `${server.url}/job/a.png` },
    { address: `${server.url}/job/b%20c.png` },
  ]);
  const posted = server.files.get('/job/b c.png')!;
  expect(posted.bytes.equals(PIXELS)).toBe(true);
  expect(posted.fields).toEqual(fields);
});

test('a server that is busy, then resets, gets the whole file with the third attempt', async () => {
  await using server = await startPutTarget();
  server.failNext({ kind: 'refuse', status: 503 });
  server.failNext({ kind: 'reset' });
  await using targets = targetsAt(server, [{ url: server.signed('/a') }]);
  expect(await targets.store([storedFile()], never())).toEqual([{ address: `${server.url}/a` }]);
  expect(server.files.get('/a')?.bytes.equals(PIXELS)).toBe(true);
  expect(server.requests).toHaveLength(3);
});

test('the error of a server that stays busy has the number of attempts', async () => {
  await using server = await startPutTarget();
  server.failNext({ kind: 'refuse', status: 500 }, 9);
  await using targets = targetsAt(server, [{ url: server.signed('/a') }]);
  expect(await targets.store([storedFile()], never())).toEqual([
    { problem: `[PUT] ${server.url}/a: 500 Internal Server Error, after 4 tries` },
  ]);
});

test('an upload to a server that never answers fails', async () => {
  await using server = await startPutTarget();
  server.failNext({ kind: 'hang' }, 4);
  await using targets = targetsAt(server, [{ url: server.signed('/a') }], { silenceMs: 30 });
  expect(await targets.store([storedFile()], never())).toEqual([
    { problem: expect.stringMatching(/the server did not answer in time, after 4 tries$/) },
  ]);
});

test('a refusal is not retried, and its error has no signature', async () => {
  await using server = await startPutTarget();
  const url = `${server.url}/a?X-Amz-Signature=hush`;
  await using targets = targetsAt(server, [{ url }]);
  expect(await targets.store([storedFile()], never())).toEqual([
    { problem: `[PUT] ${server.url}/a: 403 Forbidden (SignatureDoesNotMatch)` },
  ]);
  expect(server.requests).toHaveLength(1);
});

test('a redirect is not followed', async () => {
  await using server = await startPutTarget();
  server.failNext({
    kind: 'refuse',
    status: 307,
    headers: { location: 'http://169.254.169.254/' },
  });
  await using targets = targetsAt(server, [{ url: server.signed('/a') }]);
  expect(await targets.store([storedFile()], never())).toEqual([
    { problem: `[PUT] ${server.url}/a: 307 Temporary Redirect` },
  ]);
});

test.each(['127.0.0.1', 'localhost', '[::1]', '2130706433'])(
  'nothing is sent to %s, which is this machine',
  async (host) => {
    await using server = await startPutTarget();
    const sender = new Sender({ allowPrivate: [], retryDelayMs: 1 });
    const url = server.signed('/a').replace('127.0.0.1', host);
    await using targets = new PutTargets([{ url }], { sender, transfers: 1 });
    expect(await targets.store([storedFile()], never())).toEqual([
      { problem: expect.stringMatching(/the host is not on the public internet/) },
    ]);
    expect(server.requests).toHaveLength(0);
  },
);

test('a job that is stopped stops its uploads', async () => {
  await using server = await startPutTarget();
  await using targets = targetsAt(server, [{ url: server.signed('/a') }]);
  server.failNext({ kind: 'hang' });
  const stop = new AbortController();
  const arrived = server.nextRequest();
  const stored = expect(targets.store([storedFile()], stop.signal)).rejects.toThrow('stopped');
  await arrived;
  stop.abort(new Error('stopped'));
  await stored;
  expect(server.requests).toHaveLength(1);
});

const folderAt = ({ host }: PutTarget, settings: HttpFolderSettings) =>
  new HttpFolder(settings, new Sender({ allowPrivate: [host], retryDelayMs: 1 }));

test.each(['/dav/run', '/dav/run/'])('a file is put under %s with its own name', async (prefix) => {
  await using server = await startPutTarget();
  const headers = { authorization: 'Bearer hush' };
  await using folder = folderAt(server, { urlPrefix: server.url + prefix, headers });
  const url = await folder.put(storedFile({ filename: 'ein Bild #1.png' }), never());
  expect(url).toBe(`${server.url}/dav/run/ein%20Bild%20%231.png`);
  expect(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(PIXELS)).toBe(true);
  expect(server.requests[0]?.headers.authorization).toBe('Bearer hush');
});

test('a query stays in the URL, and is not shown', async () => {
  await using server = await startPutTarget();
  await using folder = folderAt(server, { urlPrefix: `${server.url}/c?signature=good` });
  expect(await folder.put(storedFile(), never())).toBe(`${server.url}/c/a.png`);
});

test('user and password in the URL are sent as basic authentication, and shown nowhere', async () => {
  await using server = await startPutTarget();
  const urlPrefix = `http://me:hush%20@${server.host}/c`;
  await using folder = folderAt(server, { urlPrefix });
  expect(await folder.put(storedFile(), never())).toBe(`${server.url}/c/a.png`);
  const basic = `Basic ${Buffer.from('me:hush ').toString('base64')}`;
  expect(server.requests[0]?.headers.authorization).toBe(basic);

  server.failNext({ kind: 'refuse', status: 401 });
  await expect(folder.put(storedFile(), never())).rejects.toThrow(
    `[PUT] ${server.url}/c/a.png: 401 Unauthorized`,
  );
});

test('a server that asks for a delay gets it', async () => {
  await using server = await startPutTarget();
  await using folder = folderAt(server, { urlPrefix: `${server.url}/c?signature=good` });
  server.failNext({ kind: 'refuse', status: 429, headers: { 'retry-after': '0.01' } });
  expect(await folder.put(storedFile(), never())).toBe(`${server.url}/c/a.png`);
  expect(server.requests.map(({ status }) => status)).toEqual([429, 200]);
});
