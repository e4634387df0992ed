import { createReadStream } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { writeJson } from './python-json.ts';

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
