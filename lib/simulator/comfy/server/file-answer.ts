import { stat } from 'node:fs/promises';
import type { BigIntStats } from 'node:fs';
import mime from 'mime';
import type { Answer } from './answers.ts';

/** Files as aiohttp's `FileResponse` sends them: ETag, Last-Modified, conditional requests and one range. */

type Headers = Readonly<Record<string, string | undefined>>;

/** The answer refers to the file; nothing is read. `given` are the headers of the route. */
export async function answerFile(
  path: string,
  given: Readonly<Record<string, string>>,
  request: Headers,
): Promise<Answer> {
  const stats = await stat(path, { bigint: true });
  const etag = etagOf(stats);
  const modified = Math.floor(Number(stats.mtimeMs) / 1000) * 1000;
  const dated = { etag, 'last-modified': new Date(modified).toUTCString() };
  switch (condition(request, etag, modified)) {
    case 'failed':
      return { status: 412, headers: given, body: Buffer.alloc(0) };
    case 'unchanged':
      return { status: 304, headers: { ...given, ...dated }, body: Buffer.alloc(0) };
    case 'send':
      break;
  }
  const whole = { path, start: 0, end: Number(stats.size) };
  const headers = { ...given, ...dated, 'accept-ranges': 'bytes' };
  const { range, 'if-range': ifRange } = request;
  if (range === undefined || !isFresh(ifRange, modified)) {
    return { status: 200, headers, body: whole };
  }
  const part = maybeRange(range, whole.end);
  if (!part) {
    const unsatisfied = { ...given, 'content-range': `bytes */${whole.end}` };
    return { status: 416, headers: unsatisfied, body: Buffer.alloc(0) };
  }
  const [start, end] = part;
  const partial = { ...headers, 'content-range': `bytes ${start}-${end - 1}/${whole.end}` };
  return { status: 206, headers: partial, body: { path, start, end } };
}

const etagOf = ({ mtimeNs, size }: BigIntStats) => `"${mtimeNs.toString(16)}-${size.toString(16)}"`;

/** The result of `If-Match`, `If-Unmodified-Since`, `If-None-Match` and `If-Modified-Since`, in this order. */
function condition(request: Headers, etag: string, modified: number) {
  const match = nonEmpty(request['if-match']);
  const unmodifiedSince = Date.parse(request['if-unmodified-since'] ?? '');
  if (match === undefined ? modified > unmodifiedSince : !hasTag(match, etag, { weak: false }))
    return 'failed';
  const noneMatch = nonEmpty(request['if-none-match']);
  const isUnchanged =
    noneMatch === undefined
      ? modified <= Date.parse(request['if-modified-since'] ?? '')
      : hasTag(noneMatch, etag, { weak: true });
  return isUnchanged ? 'unchanged' : 'send';
}

const nonEmpty = (header: string | undefined) => (header === '' ? undefined : header);

function hasTag(header: string, etag: string, { weak }: { readonly weak: boolean }): boolean {
  if (header === '*') return true;
  const tags = header.split(',').map((tag) => tag.trim());
  return tags.some((tag) => (weak ? tag.replace(/^W\//, '') : tag) === etag);
}

/** `If-Range` counts only as a date. */
function isFresh(ifRange: string | undefined, modified: number): boolean {
  const date = Date.parse(ifRange ?? '');
  return Number.isNaN(date) || modified <= date;
}

/** Start and end (exclusive) of `bytes=0-9`, `bytes=5-` or `bytes=-5`. Undefined for anything else. */
function maybeRange(header: string, size: number): [number, number] | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  if (first === '') return [Math.max(0, Number(last) === 0 ? 0 : size - Number(last)), size];
  const start = Number(first);
  const end = last === '' ? size : Math.min(size, Number(last) + 1);
  return start >= size || end <= start ? undefined : [start, end];
}

/** The type Python's `mimetypes` gives a file name on Debian. */
export function contentTypeOf(name: string): string {
  const extension = /\.([^.]+)$/.exec(name)?.[1]?.toLowerCase() ?? '';
  return PYTHON_TYPES[extension] ?? mime.getType(name) ?? 'application/octet-stream';
}

/** Where Python differs from the `mime` package. */
const PYTHON_TYPES: Readonly<Record<string, string>> = {
  fbx: 'application/octet-stream',
  flac: 'audio/flac',
  m4v: 'video/mp4',
  safetensors: 'application/safetensors',
  wav: 'audio/x-wav',
  yaml: 'application/yaml',
};

/** Types a browser executes. */
export const SCRIPTED_TYPES = new Set([
  'text/html',
  'application/xhtml+xml',
  'text/javascript',
  'application/javascript',
  'text/css',
]);

/** Types that can hold a script: those above, every XML dialect, and saved mails. */
export const isDangerous = (type: string) =>
  SCRIPTED_TYPES.has(type) || /[+/]xml$/.test(type) || type === 'message/rfc822';
