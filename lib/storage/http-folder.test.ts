import { expect, test } from '@jest/globals';
import { startPutTarget, type PutTarget } from '../simulator/stand-ins/put-target.ts';
import { HttpFolder, type HttpFolderSettings } from './http-folder.ts';
import { Sender } from './sender.ts';
import { never, PIXELS, storedFile } from './test-file.ts';

const folderAt = ({ host }: PutTarget, settings: HttpFolderSettings) =>
  new HttpFolder(settings, new Sender({ allowPrivate: [host], retryDelayMs: 1 }));

test.each(['/dav/run', '/dav/run/'])('a file is put under %s by its own name', async (prefix) => {
  await using server = await startPutTarget();
  const headers = { authorization: 'Bearer hush' };
  await using folder = folderAt(server, { urlPrefix: server.url + prefix, headers });
  const url = await folder.put(storedFile({ filename: 'ein Bild #1.png' }), never());
  expect(url).toBe(`${server.url}/dav/run/ein%20Bild%20%231.png`);
  expect(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(PIXELS)).toBe(true);
  expect(server.requests[0]?.headers.authorization).toBe('Bearer hush');
});

test('a query stays where it is, and is not shown', async () => {
  await using server = await startPutTarget();
  await using folder = folderAt(server, { urlPrefix: `${server.url}/c?signature=good` });
  expect(await folder.put(storedFile(), never())).toBe(`${server.url}/c/a.png`);
});

test('user and password in the URL are sent as such, and shown nowhere', async () => {
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

test('a server that asks for time gets it, within bounds', async () => {
  await using server = await startPutTarget();
  await using folder = folderAt(server, { urlPrefix: `${server.url}/c?signature=good` });
  server.failNext({ kind: 'refuse', status: 429, headers: { 'retry-after': '0.01' } });
  expect(await folder.put(storedFile(), never())).toBe(`${server.url}/c/a.png`);
  expect(server.requests.map(({ status }) => status)).toEqual([429, 200]);
});
