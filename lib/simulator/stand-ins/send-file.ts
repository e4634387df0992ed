import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { createGzip } from 'node:zlib';
import { createHash } from 'node:crypto';
import type { FileFault, ServedFile } from './files.ts';

interface Plan {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly start: number;
  readonly end: number;
}

/** Answers with the file or the part asked for, and lets the fault happen on the way. */
export async function sendFile(
  response: ServerResponse,
  file: ServedFile,
  { asked, etag, fault }: { asked: IncomingHttpHeaders; etag?: string; fault?: FileFault },
): Promise<void> {
  if (file.gzip && /\bgzip\b/.test(asked['accept-encoding']?.toString() ?? '')) {
    return sendCompressed(response, file);
  }
  const plan = planAnswer(file, asked, etag);
  const claimed = fault?.kind === 'claim' ? fault.bytes : plan.end - plan.start;
  response.writeHead(plan.status, {
    ...plan.headers,
    ...(file.chunked ? {} : { 'content-length': claimed }),
    ...(fault?.kind === 'claim' ? { connection: 'close' } : {}),
  });
  await sendBody(response, file, { ...plan, fault });
}

async function sendCompressed(response: ServerResponse, file: ServedFile): Promise<void> {
  response.writeHead(200, { 'content-type': typeOf(file), 'content-encoding': 'gzip' });
  const bytes = readContent(file.content, 0, sizeOf(file.content));
  await pipeline(Readable.from(bytes), createGzip(), response);
}

function planAnswer(file: ServedFile, asked: IncomingHttpHeaders, etag: string | undefined): Plan {
  const size = sizeOf(file.content);
  const canRange = file.ranges !== false;
  const headers = {
    'content-type': typeOf(file),
    ...(canRange ? { 'accept-ranges': 'bytes' } : {}),
    ...(etag === undefined ? {} : { etag }),
  };
  const start = canRange && isSame(asked, etag) ? maybeStart(asked.range) : undefined;
  if (start === undefined) return { status: 200, headers, start: 0, end: size };
  if (start >= size) {
    return {
      status: 416,
      headers: { ...headers, 'content-range': `bytes */${size}` },
      start: 0,
      end: 0,
    };
  }
  const part = { ...headers, 'content-range': `bytes ${start}-${size - 1}/${size}` };
  return { status: 206, headers: part, start, end: size };
}

const typeOf = ({ mediaType }: ServedFile) => mediaType ?? 'application/octet-stream';

/** A part is only for a client that has the beginning of this very file. */
const isSame = (asked: IncomingHttpHeaders, etag: string | undefined) =>
  asked['if-range'] === undefined || asked['if-range'] === etag;

/** Of ranges only `bytes=5-` is known, which is what resuming asks for. */
function maybeStart(range: string | undefined): number | undefined {
  const [, start] = /^bytes=(\d+)-$/.exec(range ?? '') ?? [];
  return start === undefined ? undefined : Number(start);
}

async function sendBody(
  response: ServerResponse,
  { content }: ServedFile,
  { start, end, fault }: Plan & { readonly fault: FileFault | undefined },
): Promise<void> {
  const stopsAfter = fault && 'afterBytes' in fault ? fault.afterBytes : Infinity;
  const stop = Math.min(end, start + stopsAfter);
  for (const piece of readContent(content, start, stop)) {
    if (fault?.kind === 'slow') await sendAtPace(response, piece, fault.bytesPerSecond);
    else await written(response, piece);
    if (response.destroyed) return;
  }
  if (fault?.kind === 'stall') return;
  if (fault?.kind === 'drop') response.socket?.resetAndDestroy();
  else if (fault?.kind === 'claim') response.socket?.end();
  else response.end();
}

async function sendAtPace(response: ServerResponse, piece: Uint8Array, pace: number) {
  const step = Math.max(1, Math.ceil(pace / STEPS_PER_SECOND));
  for (let at = 0; at < piece.length && !response.destroyed; at += step) {
    await written(response, piece.subarray(at, at + step));
    await sleep(1000 / STEPS_PER_SECOND, undefined, { ref: false });
  }
}

const STEPS_PER_SECOND = 20;

/** Resolves when the piece has left, or the connection is gone. */
function written(response: ServerResponse, piece: Uint8Array): Promise<void> {
  return new Promise((resolve) => response.write(piece, () => resolve()));
}

/** The bytes of a file, or how many of a pattern: a file of hundreds of megabytes that is nowhere. */
export type Content = Uint8Array | { readonly patternBytes: number };

export function sizeOf(content: Content): number {
  return content instanceof Uint8Array ? content.length : content.patternBytes;
}

/** The bytes from `start` to `end` (exclusive) in pieces of at most 64 KiB. */
export function* readContent(content: Content, start: number, end: number): Generator<Uint8Array> {
  for (let at = start; at < end;) {
    const piece = pieceAt(content, at, end);
    yield piece;
    at += piece.length;
  }
}

/** To compare with what somebody downloaded. */
export function sha256Of(content: Content): string {
  const hash = createHash('sha256');
  for (const piece of readContent(content, 0, sizeOf(content))) hash.update(piece);
  return hash.digest('hex');
}

function pieceAt(content: Content, at: number, end: number): Uint8Array {
  if (content instanceof Uint8Array) return content.subarray(at, Math.min(end, at + PIECE_BYTES));
  const from = at % PATTERN.length;
  return PATTERN.subarray(from, from + Math.min(end - at, PATTERN.length - from));
}

const PIECE_BYTES = 64 * 1024;

/** Its length is a prime, so that a download resumed at the wrong place, a round number off, is not the same bytes. */
const PATTERN = Uint8Array.from({ length: 65_521 }, (_, at) => at * 167 + (at >> 8));
