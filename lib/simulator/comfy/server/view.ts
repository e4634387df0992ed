import { readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { BigIntStats } from 'node:fs';
import mime from 'mime';
import sharp from 'sharp';
import { empty, type Answer, type Exchange, type FilePart } from './answers.ts';
import { isInside } from '../folders.ts';
import type { Folders } from '../nodes/node.ts';

/** `GET /view`: a file unchanged, compressed (`preview`), or with some of its channels (`channel`). */
export async function viewFile({ comfy, query, headers }: Exchange): Promise<Answer> {
  const found = await findFile(query, comfy.catalogue.host.folders);
  if ('status' in found) return found;
  const { path, name } = found;
  const shown = await maybePicture(path, query);
  const disposition = { 'content-disposition': latin1(`filename="${name}"`) };
  if (shown) return { ...shown, headers: { ...shown.headers, ...disposition } };
  const answer = await answerFile(path, contentType(path), headers);
  return { ...answer, headers: { ...answer.headers, ...disposition } };
}

async function findFile(
  query: URLSearchParams,
  folders: Folders,
): Promise<Answer | { readonly path: string; readonly name: string }> {
  const filename = query.get('filename');
  if (filename === null) return empty(404);
  const [, plain = filename, annotation] = /^(.*) \[(input|output|temp)\]$/s.exec(filename) ?? [];
  if (plain === '' || plain.startsWith('/') || plain.includes('..')) return empty(400);
  const type = annotation ?? query.get('type') ?? 'output';
  const root = Object.hasOwn(folders, type) ? folders[type as keyof Folders] : undefined;
  if (root === undefined) return empty(400);
  const folder = resolve(join(root, query.get('subfolder') ?? ''));
  if (!isInside(root, resolve(root, query.get('subfolder') ?? ''))) return empty(403);
  const name = basename(plain);
  const path = join(folder, name);
  const isFile = await stat(path).then(
    (entry) => entry.isFile(),
    () => false,
  );
  return isFile ? { path, name } : empty(404);
}

async function maybePicture(path: string, query: URLSearchParams): Promise<Answer | undefined> {
  const preview = query.get('preview');
  if (preview !== null) return previewOf(path, preview);
  const channel = query.get('channel') ?? 'rgba';
  if (channel === 'rgb') {
    return picture('png', await sharp(path).removeAlpha().png({ compressionLevel: 4 }).toBuffer());
  }
  return channel === 'a' ? picture('png', await alphaOf(path)) : undefined;
}

/** `webp;50` or `jpeg;80`. An unknown format means webp; the default quality is 90. */
async function previewOf(path: string, preview: string): Promise<Answer> {
  const [name, quality = ''] = preview.split(';');
  const format = name === 'jpeg' ? 'jpeg' : 'webp';
  const options = { quality: /^\d+$/.test(quality) ? clamp(Number(quality)) : 90 };
  return picture(format, await sharp(path).toFormat(format, options).toBuffer());
}

const clamp = (quality: number) => Math.min(100, Math.max(1, quality));

async function alphaOf(path: string): Promise<Buffer> {
  const image = sharp(await readFile(path)).ensureAlpha();
  const alpha = await image.extractChannel('alpha').raw().toBuffer({ resolveWithObject: true });
  const { width, height } = alpha.info;
  const black = { width, height, channels: 3 as const, background: { r: 0, g: 0, b: 0 } };
  return sharp({ create: black })
    .joinChannel(alpha.data, { raw: { width, height, channels: 1 } })
    .png()
    .toBuffer();
}

function picture(format: string, body: Buffer): Answer {
  return { status: 200, headers: { 'content-type': `image/${format}` }, body };
}

/** Types a browser would execute are served as `application/octet-stream`. */
function contentType(path: string): string {
  const type = mime.getType(path) ?? 'application/octet-stream';
  return ACTIVE_TYPES.has(type) ? 'application/octet-stream' : type;
}

const ACTIVE_TYPES = new Set([
  'text/html',
  'application/xhtml+xml',
  'text/javascript',
  'application/javascript',
  'text/css',
]);

/** Header values are bytes; ComfyUI sends file names as UTF-8. */
const latin1 = (text: string) => Buffer.from(text).toString('latin1');

type Headers = Readonly<Record<string, string | undefined>>;

/** A file with `ETag`, `Last-Modified`, conditional requests and one range. The answer refers to the file; nothing is read. */
async function answerFile(path: string, type: string, requestHeaders: Headers): Promise<Answer> {
  const stats = await stat(path, { bigint: true });
  const headers = {
    'content-type': type,
    'accept-ranges': 'bytes',
    etag: etagOf(stats),
    'last-modified': stats.mtime.toUTCString(),
  };
  if (isUnchanged(requestHeaders, headers)) return { status: 304, headers, body: Buffer.alloc(0) };
  return answerPart({ path, start: 0, end: Number(stats.size) }, headers, requestHeaders);
}

const etagOf = ({ mtimeNs, size }: BigIntStats) => `"${mtimeNs.toString(16)}-${size.toString(16)}"`;

function isUnchanged(
  requestHeaders: Headers,
  headers: { etag: string; 'last-modified': string },
): boolean {
  const tags = requestHeaders['if-none-match'];
  if (tags !== undefined) return tags.split(',').some((tag) => matchesTag(tag, headers.etag));
  const since = Date.parse(requestHeaders['if-modified-since'] ?? '');
  return Date.parse(headers['last-modified']) <= since;
}

const matchesTag = (tag: string, etag: string) =>
  tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag;

function answerPart(
  whole: FilePart,
  headers: Readonly<Record<string, string>>,
  requestHeaders: Headers,
): Answer {
  const size = whole.end;
  const range = maybeRange(requestHeaders.range, size);
  if (!range) return { status: 200, headers, body: whole };
  const [start, end] = range;
  if (start >= size) {
    const unsatisfied = { ...headers, 'content-range': `bytes */${size}` };
    return { status: 416, headers: unsatisfied, body: Buffer.alloc(0) };
  }
  const partial = { ...headers, 'content-range': `bytes ${start}-${end - 1}/${size}` };
  return { status: 206, headers: partial, body: { ...whole, start, end } };
}

/** Start and end (exclusive) of `bytes=0-9`, `bytes=5-` or `bytes=-5`. Anything else is ignored. */
function maybeRange(header: string | undefined, size: number): [number, number] | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  if (first === '') return [Math.max(0, size - Number(last)), size];
  const end = last === '' ? size : Math.min(size, Number(last) + 1);
  return end <= Number(first) && Number(first) < size ? undefined : [Number(first), end];
}
