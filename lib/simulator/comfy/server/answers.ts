import { createReadStream } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ComfyProcess } from '../process.ts';
import { writeJson } from '../python/python-json.ts';
import type { ViewFault } from '../faults.ts';

/** A request as a route handler gets it. */
export interface Exchange {
  readonly comfy: ComfyProcess;
  readonly query: URLSearchParams;
  /** The value of the first `:id` in the path; empty if the route has none. */
  readonly id: string;
  /** The values of all `:id` segments. */
  readonly ids: readonly string[];
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Reads the whole body. The body can be read only once, with this or with `stream`. */
  readonly body: () => Promise<Buffer>;
  readonly stream: () => AsyncIterable<Buffer>;
}

/** An HTTP response before it is sent. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | FilePart;
}

/** A range of a file on disk, `end` exclusive. */
interface FilePart {
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

/** aiohttp sends responses without a body without a content type. */
export const empty = (status = 200): Answer => ({ status, headers: {}, body: Buffer.alloc(0) });

export function text(status: number, body: string, headers: Record<string, string> = {}): Answer {
  return {
    status,
    headers: { 'content-type': 'text/plain; charset=utf-8', ...headers },
    body: Buffer.from(body),
  };
}

/** aiohttp's answer to an exception in a handler. Malformed input ends here too. */
export const internalError = (): Answer =>
  text(500, '500 Internal Server Error\n\nServer got itself in trouble');

/** Never rejects: if the client disconnects or the file disappears, the connection is closed. */
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

function lengthOf(body: Answer['body']): number {
  return 'path' in body ? body.end - body.start : body.length;
}

/** The body in chunks of at most `pieceBytes`. */
async function* piecesOf(body: Answer['body'], pieceBytes = 64 * 1024): AsyncGenerator<Buffer> {
  if (!('path' in body)) {
    for (let at = 0; at < body.length; at += pieceBytes) yield body.subarray(at, at + pieceBytes);
  } else if (body.end > body.start) {
    const { path, start, end } = body;
    const file = createReadStream(path, { start, end: end - 1, highWaterMark: pieceBytes });
    yield* file as AsyncIterable<Buffer>;
  }
}

export class TooLarge extends Error {}

/**
 * The request's body.
 * @throws TooLarge for more than `maxBytes`. The rest is still read, because a client reads the answer only after sending.
 */
export async function* readBody(
  request: IncomingMessage,
  maxBytes: number,
): AsyncGenerator<Buffer> {
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

/** Sends an answer at a limited rate, or only its beginning. Never rejects. */
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
    response.destroy(); // The file was deleted.
  }
  if (truncateAtBytes < length) response.socket?.resetAndDestroy();
  else response.end();
}

const MAX_PIECE_BYTES = 1024 * 1024;
const PIECES_PER_SECOND = 20;

/** Resolves when the chunk has been written, or the connection is closed. */
function written(response: ServerResponse, piece: Buffer): Promise<void> {
  return new Promise((resolve) => response.write(piece, () => resolve()));
}
