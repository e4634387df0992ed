import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { systemClock } from '../../clock.ts';
import { isWorkerError } from '../../errors.ts';
import { RETRY_POLICIES } from '../../http/retry.ts';
import { startEndlessServer } from '../../http/test-endless.ts';
import { ComfyClient } from './client.ts';
import { isTimeout } from './request-failure.ts';
import { ScriptedComfy } from '../scripted-comfy.ts';
import { LIMITS } from '../settings.ts';
import { never, openComfy } from '../test-comfy.ts';

const content = new Blob([new Uint8Array([1, 2, 3])]);
const image = { name: 'a b.jpg', content, mediaType: 'image/jpeg' };
const newPathIn = (folder: string) => () => Promise.resolve(join(folder, randomUUID()));
const here = { signal: never, newPath: newPathIn(tmpdir()), memoryBytes: 1024 };
const file = { filename: 'rö t_1.png', subfolder: 'a b/c', type: 'output' };

test("an image is uploaded with name and media type, and ComfyUI's name for it is returned", async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('POST /upload', () => ({
    body: '{"name":"a b (1).jpg","subfolder":"","type":"input"}',
  }));
  expect(await comfy.storeInput(image, never)).toEqual({
    name: 'a b (1).jpg',
    subfolder: '',
    type: 'input',
  });

  const body = scripted.requests[0]!.body.toString('latin1');
  expect(scripted.requests[0]!.path).toBe('/upload/image');
  expect(body).toMatch(
    /name="image"; filename="a b.jpg"\r\nContent-Type: image\/jpeg\r\n\r\n\x01\x02\x03\r\n[^]*name="overwrite"\r\n\r\ntrue\r\n/,
  );
});

test('an upload is sent again when its connection breaks', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('POST /upload', (_, message) => {
    scripted.script('POST /upload', () => ({ body: '{"name":"x"}' }));
    message.socket.resetAndDestroy();
    return undefined;
  });
  expect((await comfy.storeInput(image, never)).name).toBe('x');
});

test.each([500, 502, 503])('an upload that is answered %d once is sent again', async (status) => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('POST /upload', () => {
    scripted.script('POST /upload', () => ({ body: '{"name":"x"}' }));
    return { status };
  });
  expect((await comfy.storeInput(image, never)).name).toBe('x');
  expect(scripted.count('POST /upload')).toBe(2);
});

test.each([
  ['GET /history', (client: ComfyClient) => client.history('p', never)],
  ['GET /queue', (client: ComfyClient) => client.queue(never)],
  ['GET /object_info', (client: ComfyClient) => client.nodeClassNames(never)],
  ['HEAD /view', (client: ComfyClient) => client.hasFile(file, never)],
  ['GET /view', (client: ComfyClient) => client.fetchFile(file, here)],
])('%s is asked again after one answer of 503', async (route, ask) => {
  await using scripted = await ScriptedComfy.start();
  const settings = { url: scripted.url, requestTimeoutMs: 5000, limits: LIMITS };
  await using client = new ComfyClient(settings, systemClock);
  scripted.script(route, () => {
    if (route.endsWith('/view')) scripted.script(route, () => ({ body: 'bytes' }));
    else scripted.unscript(route);
    return { status: 503 };
  });
  await ask(client);
  expect(scripted.count(route)).toBe(2);
});

test('a prompt that is answered 503 is not posted again', async () => {
  await using scripted = await ScriptedComfy.start();
  const settings = { url: scripted.url, requestTimeoutMs: 5000, limits: LIMITS };
  await using client = new ComfyClient(settings, systemClock);
  scripted.script('POST /prompt', () => ({ status: 503 }));
  expect((await client.postPrompt('{}', never)).status).toBe(503);
  expect(scripted.count('POST /prompt')).toBe(1);
});

test('an upload that is always answered 500 fails with that answer, or at once when the job ends', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('POST /upload', () => ({ status: 500 }));
  await expect(comfy.storeInput(image, never)).rejects.toMatchObject({
    code: 'comfy.request_failed',
    message: `500 Server Error: Internal Server Error for url: ${scripted.url}/upload/image`,
  });
  const before = scripted.count('POST /upload');
  expect(before).toBeGreaterThan(2);
  const job = new AbortController();
  const reason = new Error('the job has ended');
  scripted.script('POST /upload', () => {
    job.abort(reason);
    return { status: 500 };
  });
  await expect(comfy.storeInput(image, job.signal)).rejects.toBe(reason);
  expect(scripted.count('POST /upload')).toBe(before + 1);
});

test('a refused upload fails with the text that clients match on', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('POST /upload', () => ({ status: 400 }));
  await expect(comfy.storeInput(image, never)).rejects.toMatchObject({
    code: 'comfy.request_failed',
    message: `400 Client Error: Bad Request for url: ${scripted.url}/upload/image`,
  });
});

test('an answer of ComfyUI without an end fails the request and costs little memory', async () => {
  await using server = await startEndlessServer({});
  await using comfy = openComfy(server.url, { limits: { answerBytes: 1024 * 1024 } });
  await expect(comfy.storeInput(image, never)).rejects.toMatchObject({
    code: 'comfy.request_failed',
    message: `[POST] ${server.url}/upload/image: the answer has more than 1048576 bytes`,
  });
  expect(server.mostBytes).toBeLessThan(24 * 1024 * 1024);
});

test('an upload without an answer in time is a timeout', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { requestTimeoutMs: 20 });
  scripted.script('POST /upload', () => undefined);
  const error: unknown = await comfy.storeInput(image, never).catch((reason: unknown) => reason);
  expect(isWorkerError(error, 'comfy.request_failed')).toBe(true);
  expect(isTimeout(error)).toBe(true);
});

test('a file is fetched byte for byte, with its name form-encoded', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  const bytes = Buffer.from([0, 255, 10, 13, 26]);
  scripted.script('GET /view', () => ({ body: bytes }));
  const fetched = await comfy.fetchFile(file, here);
  expect(Buffer.from(await fetched.bytes())).toEqual(bytes);
  expect(scripted.requests[0]!.path).toBe(
    '/view?filename=r%C3%B6+t_1.png&subfolder=a+b%2Fc&type=output',
  );
});

test('a large file is written to disk, and a truncated one is removed', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  await using parts = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'fetched-'));
  parts.defer(() => rm(folder, { recursive: true }));
  const options = { signal: never, newPath: newPathIn(folder), memoryBytes: 3 };

  scripted.script('GET /view', () => ({ body: Buffer.from('four') }));
  const content = await comfy.fetchFile(file, options);
  expect(Buffer.from(await content.bytes()).toString()).toBe('four');
  const files = await readdir(folder);
  expect(files).toHaveLength(1);

  scripted.script('GET /view', (_, message) => {
    message.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this');
    return undefined;
  });
  await expect(comfy.fetchFile(file, options)).rejects.toMatchObject({
    code: 'comfy.request_failed',
  });
  expect(await readdir(folder)).toEqual(files);
});

test('a truncated file is fetched as often as the retries allow, and then fails', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('GET /view', (_, message) => {
    message.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this');
    return undefined;
  });
  await expect(comfy.fetchFile(file, here)).rejects.toMatchObject({
    code: 'comfy.request_failed',
  });
  expect(scripted.count('GET /view')).toBe(1 + RETRY_POLICIES.comfyRequest.retries);
});

test.each([
  [{ status: 404 }, /^404 Client Error: Not Found for url: http.*\/view\?filename=/],
  [{ body: '' }, /the file is empty \(0 bytes\)$/],
])('a missing or empty file fails with the reason: %j', async (reply, text) => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('GET /view', () => reply);
  await expect(comfy.fetchFile(file, here)).rejects.toThrow(text);
  expect(scripted.count('GET /view')).toBe(1);
});

test('an aborted request rejects with the reason of the signal', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  const job = new AbortController();
  const reason = new Error('stopped');
  scripted.script('GET /view', () => {
    job.abort(reason);
    return undefined;
  });
  await expect(comfy.fetchFile(file, { ...here, signal: job.signal })).rejects.toBe(reason);
});

test('a refused connection is worded as in Python', async () => {
  await using comfy = openComfy('http://127.0.0.1:9');
  await expect(comfy.fetchFile(file, here)).rejects.toThrow(/\[Errno \d+\] Connection refused$/);
});

test('the path of the URL is kept, and its password is not shown', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(`http://me:secret@127.0.0.1:${scripted.port}/proxied/`);
  scripted.script('GET /proxied', () => ({ status: 403 }));
  await expect(comfy.fetchFile(file, here)).rejects.toThrow(
    /^403 Client Error: Forbidden for url: http:\/\/127.0.0.1:\d+\/proxied\/view/,
  );
});
