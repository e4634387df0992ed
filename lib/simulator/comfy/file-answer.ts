import type { BigIntStats } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Answer, FilePart } from './answers.ts';

type Headers = Readonly<Record<string, string | undefined>>;

/** A file with what HTTP offers for files: `ETag`, `Last-Modified`, conditions, one range. Not read, only named. */
export async function answerFile(path: string, type: string, asked: Headers): Promise<Answer> {
  const stats = await stat(path, { bigint: true });
  const headers = {
    'content-type': type,
    'accept-ranges': 'bytes',
    etag: etagOf(stats),
    'last-modified': stats.mtime.toUTCString(),
  };
  if (isUnchanged(asked, headers)) return { status: 304, headers, body: Buffer.alloc(0) };
  return answerPart({ path, start: 0, end: Number(stats.size) }, headers, asked);
}

const etagOf = ({ mtimeNs, size }: BigIntStats) => `"${mtimeNs.toString(16)}-${size.toString(16)}"`;

function isUnchanged(asked: Headers, headers: { etag: string; 'last-modified': string }): boolean {
  const tags = asked['if-none-match'];
  if (tags !== undefined) return tags.split(',').some((tag) => isTag(tag, headers.etag));
  const since = Date.parse(asked['if-modified-since'] ?? '');
  return Date.parse(headers['last-modified']) <= since;
}

const isTag = (asked: string, etag: string) =>
  asked.trim() === '*' || asked.trim().replace(/^W\//, '') === etag;

function answerPart(
  whole: FilePart,
  headers: Readonly<Record<string, string>>,
  asked: Headers,
): Answer {
  const size = whole.end;
  const range = maybeRange(asked.range, size);
  if (!range) return { status: 200, headers, body: whole };
  const [start, end] = range;
  if (start >= size) {
    const unsatisfied = { ...headers, 'content-range': `bytes */${size}` };
    return { status: 416, headers: unsatisfied, body: Buffer.alloc(0) };
  }
  const partial = { ...headers, 'content-range': `bytes ${start}-${end - 1}/${size}` };
  return { status: 206, headers: partial, body: { ...whole, start, end } };
}

/** Start and end (exclusive) of `bytes=0-9`, `bytes=5-` or `bytes=-5`; anything else counts as no range. */
function maybeRange(header: string | undefined, size: number): [number, number] | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  if (first === '') return [Math.max(0, size - Number(last)), size];
  const end = last === '' ? size : Math.min(size, Number(last) + 1);
  return end <= Number(first) && Number(first) < size ? undefined : [Number(first), end];
}
