import { createReadStream } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ComfyProcess } from '../process.ts';
import { writeJson } from '../python/python-json.ts';
import type { ViewFault } from '../faults.ts';

/** One request as the routes see it. */
export interface Exchange {
  readonly comfy: ComfyProcess;
  readonly query: URLSearchParams;
  /** What stands at `:id` in the path. */
  readonly id: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The request's body, whole or as it comes; only once. */
  readonly body: () => Promise<Buffer>;
  readonly stream: () => AsyncIterable<Buffer>;
}

/** An HTTP answer before it is sent. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | FilePart;
}

/** Bytes that are sent from disk, `end` exclusive. */
export interface FilePart {
  readonly path: string;
  readonly start: number;
  readonly end: number;
}

export function json(value: unknown, status = 200): Answer {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8' },
    body: Buffer.from(writeJson(value)),
  };
}

/** What aiohttp sends for a response without a body: no text, and the type of bytes nobody knows. */
export function empty(status = 200): Answer {
  return {
    status,
    headers: { 'content-type': 'application/octet-stream' },
    body: Buffer.alloc(0),
  };
}

export function text(status: number, body: string, headers: Record<string, string> = {}): Answer {
  return {
    status,
    headers: { 'content-type': 'text/plain; charset=utf-8', ...headers },
    body: Buffer.from(body),
  };
}

/** What becomes of every exception nobody expected, malformed input included. */
export const internalError = (): Answer =>
  text(500, '500 Internal Server Error\n\nServer got itself in trouble');

/** Never rejects: a client that goes away, or a file that does, ends the connection. */
export async function send(
  response: ServerResponse,
  { status, headers, body }: Answer,
): Promise<void> {
  const length = lengthOf(body);
  response.writeHead(status, { ...headers, 'content-length': length, ...MARK });
  if ('path' in body)
    await pipeline(Readable.from(piecesOf(body)), response).catch(() => response.destroy());
  else response.end(body);
}

const MARK = { 'x-simulated': 'comfyui-worker' };

export function lengthOf(body: Answer['body']): number {
  return 'path' in body ? body.end - body.start : body.length;
}

/** Pieces of at most 64 KiB, or as large as told. */
export async function* piecesOf(
  body: Answer['body'],
  pieceBytes = 64 * 1024,
): AsyncGenerator<Buffer> {
  if (!('path' in body)) {
    for (let at = 0; at < body.length; at += pieceBytes) yield body.subarray(at, at + pieceBytes);
  } else if (body.end > body.start) {
    const { path, start, end } = body;
    const file = createReadStream(path, { start, end: end - 1, highWaterMark: pieceBytes });
    yield* file as AsyncIterable<Buffer>;
  }
}

export class TooLarge extends Error {}

/** @throws TooLarge when more than `maxBytes` have come; the rest is read all the same, so that the answer is. */
export async function* within(request: IncomingMessage, maxBytes: number): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= maxBytes) yield chunk;
  }
  if (bytes > maxBytes) {
    const size = request.headers['content-length'] ?? 'unknown';
    throw new TooLarge(`Maximum request body size ${maxBytes} exceeded, actual body size ${size}`);
  }
}

/** Sends an answer at a pace, or only the beginning of it. Never rejects. */
export async function sendSlowly(
  response: ServerResponse,
  { status, headers, body }: Answer,
  { bytesPerSecond = Infinity, truncateAtBytes = Infinity }: ViewFault,
): Promise<void> {
  const length = lengthOf(body);
  response.writeHead(status, { ...headers, 'content-length': length });
  let left = Math.min(length, truncateAtBytes);
  const step = Math.max(1, Math.ceil(bytesPerSecond / PIECES_PER_SECOND));
  const pieces = piecesOf(body, Math.min(MAX_PIECE_BYTES, step));
  try {
    for await (const piece of pieces) {
      if (left <= 0 || response.destroyed) break;
      await written(response, piece.subarray(0, left));
      left -= piece.length;
      if (Number.isFinite(bytesPerSecond))
        await sleep(1000 / PIECES_PER_SECOND, undefined, { ref: false });
    }
  } catch {
    response.destroy(); // The file is gone.
  }
  if (truncateAtBytes < length) response.socket?.resetAndDestroy();
  else response.end();
}

const MAX_PIECE_BYTES = 1024 * 1024;
const PIECES_PER_SECOND = 20;

/** Resolves when the piece has left, or the connection is gone. */
function written(response: ServerResponse, piece: Buffer): Promise<void> {
  return new Promise((resolve) => response.write(piece, () => resolve()));
}
