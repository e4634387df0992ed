import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, stat, truncate, writeFile } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import { startComfySimulator, type ComfySimulator } from '../simulator.ts';

const picture = (alpha: number) =>
  sharp({
    create: { width: 4, height: 2, channels: 4, background: { r: 200, g: 10, b: 10, alpha } },
  })
    .png()
    .toBuffer();

async function upload(
  { url }: ComfySimulator,
  bytes: Buffer,
  { path = '/upload/image', name = 'a.png', ...fields }: Record<string, string> = {},
) {
  const form = new FormData();
  form.set('image', new Blob([new Uint8Array(bytes)]), name);
  for (const [key, value] of Object.entries(fields)) form.set(key, value);
  return fetch(url + path, { method: 'POST', body: form });
}

const view = ({ url }: ComfySimulator, query: string, headers: Record<string, string> = {}) =>
  fetch(`${url}/view?${query}`, { headers });

const pixelOf = async (response: Response) =>
  [
    ...(await sharp(Buffer.from(await response.arrayBuffer()))
      .raw()
      .toBuffer()),
  ].slice(0, 4);

test('uploads with one name: equal bytes keep the name, other bytes get a new one, and equal bytes are found again later', async () => {
  await using comfy = await startComfySimulator();
  const names = [];
  for (const text of ['1', '2', '3', '2', '1']) {
    const response = await upload(comfy, Buffer.from(text));
    names.push(((await response.json()) as { name: string }).name);
  }
  expect(names).toEqual(['a.png', 'a (1).png', 'a (2).png', 'a (1).png', 'a.png']);
});

test('only the values true and 1 overwrite a file', async () => {
  await using comfy = await startComfySimulator();
  await upload(comfy, Buffer.from('1'));
  const name = async (text: string, overwrite: string) =>
    ((await (await upload(comfy, Buffer.from(text), { overwrite })).json()) as { name: string })
      .name;
  expect(await name('2', 'True')).toBe('a (1).png');
  expect(await name('3', '1')).toBe('a.png');
  expect(await (await view(comfy, 'filename=a.png&type=input')).text()).toBe('3');
});

test('an image sent as a text field gives 500, a body that is not a form 400', async () => {
  await using comfy = await startComfySimulator();
  const form = new FormData();
  form.set('image', 'text');
  const post = (body: FormData | string) =>
    fetch(`${comfy.url}/upload/image`, { method: 'POST', body });
  expect((await post(form)).status).toBe(500);
  expect((await post('{}')).status).toBe(400);
});

test('a mask upload gives the original its alpha channel', async () => {
  await using comfy = await startComfySimulator();
  await upload(comfy, await picture(1));
  const original_ref = JSON.stringify({ filename: 'a.png', type: 'input' });
  const fields = { path: '/upload/mask', name: 'mask.png', original_ref };
  expect((await upload(comfy, await picture(0.5), fields)).status).toBe(200);
  const masked = await view(comfy, 'filename=mask.png&type=input');
  expect(await pixelOf(masked)).toEqual([200, 10, 10, 128]);
});

test('a mask for a missing image is answered with a name, but not stored', async () => {
  await using comfy = await startComfySimulator();
  const fields = { path: '/upload/mask', name: 'mask.png', original_ref: '{"filename": "no.png"}' };
  const response = await upload(comfy, await picture(1), fields);
  expect(await response.json()).toMatchObject({ name: 'mask.png' });
  expect(existsSync(join(comfy.folders.input, 'mask.png'))).toBe(false);
});

test.each([
  ['filename=', 400],
  ['filename=/etc/passwd', 400],
  ['filename=a..b.png', 400],
  ['filename=a.png&type=odd', 400],
  ['filename=a.png&subfolder=/etc', 403],
  ['filename=b/a.png', 200],
  ['filename=a.png%20[output]&type=temp', 200],
  ['filename=page.html&preview=webp', 500],
])('/view?%s is answered with %d', async (query, status) => {
  await using comfy = await startComfySimulator();
  await writeFile(join(comfy.folders.output, 'a.png'), await picture(1));
  await writeFile(join(comfy.folders.output, 'page.html'), '<p>');
  expect((await view(comfy, query)).status).toBe(status);
});

test('a file has an ETag, and is not sent again to a client that has it', async () => {
  await using comfy = await startComfySimulator();
  await writeFile(join(comfy.folders.output, 'page.html'), '0123456789');
  const first = await view(comfy, 'filename=page.html');
  expect(first.headers.get('content-type')).toBe('application/octet-stream');
  const etag = first.headers.get('etag')!;
  expect((await view(comfy, 'filename=page.html', { 'if-none-match': etag })).status).toBe(304);
});

test.each([
  ['bytes=0-3', 206, '0123', 'bytes 0-3/10'],
  ['bytes=7-', 206, '789', 'bytes 7-9/10'],
  ['bytes=-2', 206, '89', 'bytes 8-9/10'],
  ['bytes=5-99', 206, '56789', 'bytes 5-9/10'],
  ['bytes=20-', 416, '', 'bytes */10'],
  ['bytes=5-2', 416, '', 'bytes */10'],
  ['bytes=-', 416, '', 'bytes */10'],
  ['bytes=0-1,3-4', 416, '', 'bytes */10'],
  ['lines=1-2', 416, '', 'bytes */10'],
])('the range %s is answered with %d', async (range, status, text, contentRange) => {
  await using comfy = await startComfySimulator();
  await writeFile(join(comfy.folders.output, 'a.txt'), '0123456789');
  const response = await view(comfy, 'filename=a.txt', { range });
  expect(response.status).toBe(status);
  expect(response.headers.get('content-range')).toBe(contentRange);
  expect(await response.text()).toBe(text);
});

test('/view returns an image without alpha, only its alpha, or a preview', async () => {
  await using comfy = await startComfySimulator();
  await upload(comfy, await picture(0.5));
  const part = (query: string) => view(comfy, `filename=a.png&type=input&${query}`);
  expect(await pixelOf(await part('channel=rgb'))).toEqual([200, 10, 10, 200]);
  expect(await pixelOf(await part('channel=a'))).toEqual([0, 0, 0, 128]);
  const types = [];
  for (const preview of ['jpeg;50', 'webp', 'odd;90']) {
    types.push((await part(`preview=${preview}`)).headers.get('content-type'));
  }
  expect(types).toEqual(['image/jpeg', 'image/webp', 'image/webp']);
});

const MEGABYTE = 1024 * 1024;

test('a large upload is not held in memory, and leaves no temporary file', async () => {
  await using comfy = await startComfySimulator();
  const before = heldBytes();
  const request = httpRequest(`${comfy.url}/upload/image`, {
    method: 'POST',
    headers: { 'content-type': 'multipart/form-data; boundary=b' },
  });
  const answered = once(request, 'response') as Promise<[IncomingMessage]>;
  request.write(
    '--b\r\nContent-Disposition: form-data; name="image"; filename="large.mp4"\r\n\r\n',
  );
  for (let at = 0; at < 40; at++) {
    await new Promise((sent) => request.write(Buffer.alloc(MEGABYTE), sent));
  }
  expect(heldBytes() - before).toBeLessThan(12 * MEGABYTE);
  request.end('\r\n--b--\r\n');
  const [response] = await answered;
  expect(response.resume().statusCode).toBe(200);
  expect((await stat(join(comfy.folders.input, 'large.mp4'))).size).toBe(40 * MEGABYTE);
  expect(await readdir(comfy.folders.temp)).toEqual([]);
});

test('a large file whose client stops reading is not held in memory', async () => {
  await using comfy = await startComfySimulator();
  const path = join(comfy.folders.output, 'large.mp4');
  await writeFile(path, '');
  await truncate(path, 95 * MEGABYTE);
  const before = heldBytes();
  const request = httpRequest(`${comfy.url}/view?filename=large.mp4`).end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  await once(response, 'readable');
  expect(response.headers['content-length']).toBe(String(95 * MEGABYTE));
  expect(heldBytes() - before).toBeLessThan(30 * MEGABYTE);
  request.destroy();
});

test('an upload over the limit is refused and leaves no file', async () => {
  await using comfy = await startComfySimulator({ maxUploadBytes: 2 * MEGABYTE });
  const refused = await upload(comfy, Buffer.alloc(2 * MEGABYTE));
  expect(refused.status).toBe(413);
  expect(await readdir(comfy.folders.temp)).toEqual([]);
  expect(await readdir(comfy.folders.input)).toEqual([]);
});

/** Bytes of buffers in use, after a garbage collection. */
function heldBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().arrayBuffers;
}

/** A bitmap of one row: red, then blue. */
function bitmap(): Buffer {
  const file = Buffer.alloc(62);
  file.write('BM');
  file.writeUInt32LE(62, 2);
  file.writeUInt32LE(54, 10);
  file.writeUInt32LE(40, 14);
  file.writeInt32LE(2, 18);
  file.writeInt32LE(1, 22);
  file.writeUInt16LE(1, 26);
  file.writeUInt16LE(24, 28);
  file.set([0, 0, 255, 255, 0, 0], 54);
  return file;
}

test('a BMP is an image, an SVG is not', async () => {
  await using comfy = await startComfySimulator();
  await writeFile(join(comfy.folders.output, 'a.bmp'), bitmap());
  await writeFile(join(comfy.folders.output, 'a.svg'), '<svg xmlns="http://www.w3.org/2000/svg"/>');
  const shown = await view(comfy, 'filename=a.bmp&channel=rgb');
  const { data } = await sharp(await shown.arrayBuffer())
    .raw()
    .toBuffer({ resolveWithObject: true });
  expect([...data]).toEqual([255, 0, 0, 0, 0, 255]);
  expect((await view(comfy, 'filename=a.svg&preview=webp')).status).toBe(500);
});

test.each([
  ['preview=webp;100', 200, 'image/webp'],
  ['preview=webp;500', 500, 'text/plain; charset=utf-8'],
  ['preview=jpeg;500', 200, 'image/jpeg'],
  ['preview=jpeg;80&channel=a', 200, 'image/webp'],
])('a view with %s is answered with %d', async (query, status, type) => {
  await using comfy = await startComfySimulator();
  await writeFile(join(comfy.folders.output, 'a.png'), await picture(1));
  const response = await view(comfy, `filename=a.png&${query}`);
  expect([response.status, response.headers.get('content-type')]).toEqual([status, type]);
});

test.each([
  [{ 'if-match': '"other"' }, 412],
  [{ 'if-match': '*' }, 200],
  [{ 'if-match': '"other", *' }, 412],
  [{ 'if-match': '' }, 200],
  [{ 'if-unmodified-since': 'Mon, 01 Jan 2001 00:00:00 GMT' }, 412],
  [{ 'if-modified-since': 'Mon, 01 Jan 2035 00:00:00 GMT' }, 304],
  [{ 'if-none-match': '*' }, 304],
  [{ 'if-range': 'Mon, 01 Jan 2001 00:00:00 GMT', range: 'bytes=0-1' }, 200],
  [{ 'if-range': '"other"', range: 'bytes=0-1' }, 206],
])('a view with %j is answered with %d', async (headers, status) => {
  await using comfy = await startComfySimulator();
  await writeFile(join(comfy.folders.output, 'a.txt'), '0123456789');
  expect((await view(comfy, 'filename=a.txt', { ...headers })).status).toBe(status);
});

test('a browser must not execute a file, except an SVG inside of an image', async () => {
  await using comfy = await startComfySimulator();
  await writeFile(join(comfy.folders.output, 'a.svg'), '<svg/>');
  const alone = await view(comfy, 'filename=a.svg');
  expect(alone.headers.get('content-type')).toBe('application/octet-stream');
  expect(alone.headers.get('content-disposition')).toBe('attachment; filename="a.svg"');
  expect(alone.headers.get('x-content-type-options')).toBe('nosniff');
  const inside = await view(comfy, 'filename=a.svg', { 'sec-fetch-dest': 'image' });
  expect(inside.headers.get('content-type')).toBe('image/svg+xml');
});

test.each([
  ['a subfolder that is an absolute path', 'a.png', '/tmp', 400],
  ['a name that begins with a slash', '/a.png', '', 200],
  ['a name with a folder that does not exist', 'none/a.png', '', 500],
  ['a name that is a folder', 'sub', '', 500],
  ['a subfolder with a detour', 'a.png', 'sub/../other', 200],
])('an upload with %s', async (_, name, subfolder, status) => {
  await using comfy = await startComfySimulator();
  await mkdir(join(comfy.folders.input, 'sub'));
  const body =
    `--b\r\nContent-Disposition: form-data; name="image"; filename="${name}"\r\n\r\nx\r\n` +
    `--b\r\nContent-Disposition: form-data; name="subfolder"\r\n\r\n${subfolder}\r\n--b--\r\n`;
  const headers = { 'content-type': 'multipart/form-data; boundary=b' };
  const response = await fetch(`${comfy.url}/upload/image`, { method: 'POST', body, headers });
  expect(response.status).toBe(status);
});
