import type { IncomingMessage, ServerResponse } from 'node:http';
import { writeJson } from './python-json.ts';

/** An HTTP answer before it is sent. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
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

export function send(response: ServerResponse, { status, headers, body }: Answer): void {
  response.writeHead(status, {
    ...headers,
    'content-length': body.length,
    'x-simulated': 'comfyui-worker',
  });
  response.end(body);
}

/** The body of a request; undefined when it is longer than allowed. */
export async function readBody(
  request: IncomingMessage,
  maxBytes: number,
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= maxBytes) chunks.push(chunk);
  }
  return bytes <= maxBytes ? Buffer.concat(chunks) : undefined;
}
