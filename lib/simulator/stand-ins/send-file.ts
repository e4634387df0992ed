import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { createGzip } from 'node:zlib';
import { createHash } from 'node:crypto';

export interface ServedFile {
  readonly content: Content;
  /** Default `application/octet-stream`. Not checked against the content. */
  readonly mediaType?: string;
  /** False: every request gets the whole file with 200. */
  readonly ranges?: boolean;
  /** `changing`: a new ETag for each request, so that no download can be resumed. */
  readonly etag?: 'stable' | 'changing' | 'none';
  /** Sent without `Content-Length`. */
  readonly chunked?: true;
  /** Compressed whenever the client accepts gzip; then without length and ranges. */
  readonly gzip?: true;
  /** What a request must show; without it the answer is 401. */
  readonly needs?: Credentials;
  /** Applies to every request, after the faults of `failNext` are used up. */
  readonly fault?: FileFault;
}

export type Credentials =
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'basic'; readonly user: string; readonly password: string }
  | { readonly kind: 'header'; readonly name: string; readonly value: string }
  | { readonly kind: 'query'; readonly name: string; readonly value: string };

export type FileFault =
  /** The request is read and never answered. */
  | { readonly kind: 'hang' }
  /** The answer begins and then stalls; the connection stays open. */
  | { readonly kind: 'stall'; readonly afterBytes: number }
  | { readonly kind: 'slow'; readonly bytesPerSecond: number }
  /** The connection is reset in the middle. */
  | { readonly kind: 'drop'; readonly afterBytes: number }
  /** `Content-Length` is this number; the file itself is sent, and then the connection is closed. */
  | { readonly kind: 'claim'; readonly bytes: number }
  | {
      readonly kind: 'refuse';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
    };

/** The bytes of a file, or the length of a generated one, for files of hundreds of megabytes. */
export type Content = Uint8Array | { readonly patternBytes: number };

/** The range of bytes to send, `end` exclusive. */
interface Plan {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly start: number;
  readonly end: number;
}

/** Answers with the file or the requested range, and applies the fault while sending. */
export async function sendFile(
  response: ServerResponse,
  file: ServedFile,
  {
    requestHeaders,
    etag,
    fault,
    onSent,
  }: {
    requestHeaders: IncomingHttpHeaders;
    etag?: string;
    fault?: FileFault;
    /** Told of each range of the file that the connection has taken. */
    onSent: (start: number, end: number) => void;
  },
): Promise<void> {
  if (file.gzip && /\bgzip\b/.test(requestHeaders['accept-encoding']?.toString() ?? '')) {
    return sendCompressed(response, file);
  }
  const plan = planAnswer(file, requestHeaders, etag);
  const claimed = fault?.kind === 'claim' ? fault.bytes : plan.end - plan.start;
  response.writeHead(plan.status, {
    ...plan.headers,
    ...(file.chunked ? {} : { 'content-length': claimed }),
    ...(fault?.kind === 'claim' ? { connection: 'close' } : {}),
  });
  await sendBody(response, file, { ...plan, fault, onSent });
}

async function sendCompressed(response: ServerResponse, file: ServedFile): Promise<void> {
  response.writeHead(200, { 'content-type': typeOf(file), 'content-encoding': 'gzip' });
  const bytes = readContent(file.content, 0, sizeOf(file.content));
  await pipeline(Readable.from(bytes), createGzip(), response);
}

function planAnswer(
  file: ServedFile,
  requestHeaders: IncomingHttpHeaders,
  etag: string | undefined,
): Plan {
  const size = sizeOf(file.content);
  const canRange = file.ranges !== false;
  const headers = {
    'content-type': typeOf(file),
    ...(canRange ? { 'accept-ranges': 'bytes' } : {}),
    ...(etag === undefined ? {} : { etag }),
  };
  const range =
    canRange && isSameVersion(requestHeaders, etag) ? maybeRange(requestHeaders.range) : undefined;
  if (!range) return { status: 200, headers, start: 0, end: size };
  const { start } = range;
  if (start >= size) {
    return {
      status: 416,
      headers: { ...headers, 'content-range': `bytes */${size}` },
      start: 0,
      end: 0,
    };
  }
  const end = Math.min(size, range.end);
  const part = { ...headers, 'content-range': `bytes ${start}-${end - 1}/${size}` };
  return { status: 206, headers: part, start, end };
}

const typeOf = ({ mediaType }: ServedFile) => mediaType ?? 'application/octet-stream';

/** A range is sent only if the client's `If-Range` names this version of the file. */
const isSameVersion = (requestHeaders: IncomingHttpHeaders, etag: string | undefined) =>
  requestHeaders['if-range'] === undefined || requestHeaders['if-range'] === etag;

/** One range, `bytes=5-` or `bytes=5-9`. */
function maybeRange(range: string | undefined) {
  const [, start, last = ''] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
  if (start === undefined) return undefined;
  return { start: Number(start), end: last === '' ? Infinity : Number(last) + 1 };
}

async function sendBody(
  response: ServerResponse,
  { content }: ServedFile,
  {
    start,
    end,
    fault,
    onSent,
  }: Plan & {
    readonly fault: FileFault | undefined;
    readonly onSent: (start: number, end: number) => void;
  },
): Promise<void> {
  const stopsAfter = fault && 'afterBytes' in fault ? fault.afterBytes : Infinity;
  const stop = Math.min(end, start + stopsAfter);
  const pace = fault?.kind === 'slow' ? fault.bytesPerSecond : Infinity;
  const startedAt = performance.now();
  let at = start;
  for (const chunk of readContent(content, start, stop, pace / STEPS_PER_SECOND)) {
    await written(response, chunk);
    if (response.destroyed) return;
    onSent(at, at + chunk.length);
    at += chunk.length;
    const early = startedAt + (1000 * (at - start)) / pace - performance.now();
    if (early > 0) await sleep(early, undefined, { ref: false });
  }
  if (fault?.kind === 'stall') return;
  if (fault?.kind === 'drop') response.socket?.resetAndDestroy();
  else if (fault?.kind === 'claim') response.socket?.end();
  else response.end();
}

const STEPS_PER_SECOND = 20;

/** Resolves when the chunk has been written, or the connection is closed. */
function written(response: ServerResponse, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve) => response.write(chunk, () => resolve()));
}

function sizeOf(content: Content): number {
  return content instanceof Uint8Array ? content.length : content.patternBytes;
}

/** The bytes from `start` to `end` (exclusive) in chunks of at most 64 KiB, and of about `step` bytes. */
function* readContent(
  content: Content,
  start: number,
  end: number,
  step = Infinity,
): Generator<Uint8Array> {
  for (let at = start; at < end;) {
    const chunk = chunkAt(content, at, Math.min(end, at + Math.max(1, Math.ceil(step))));
    yield chunk;
    at += chunk.length;
  }
}

export function sha256Of(content: Content): string {
  const hash = createHash('sha256');
  for (const chunk of readContent(content, 0, sizeOf(content))) hash.update(chunk);
  return hash.digest('hex');
}

function chunkAt(content: Content, at: number, end: number): Uint8Array {
  if (content instanceof Uint8Array) return content.subarray(at, Math.min(end, at + CHUNK_BYTES));
  const from = at % PATTERN.length;
  return PATTERN.subarray(from, from + Math.min(end - at, PATTERN.length - from));
}

const CHUNK_BYTES = 64 * 1024;

/** The length is prime: a download resumed at a wrong offset (usually a round number off) gets different bytes. */
const PATTERN = Uint8Array.from({ length: 65_521 }, (_, at) => at * 167 + (at >> 8));
