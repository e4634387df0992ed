import { Readable } from 'node:stream';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { isWorkerError, type ErrorCode } from '../../errors.ts';
import { withoutPaths } from '../../http/redact.ts';
import type { Logger } from '../../log.ts';

/**
 * JSON text in pieces. Long values that are encoded already, such as results, are neither parsed nor copied.
 */
export type JsonPiece = string | Buffer;

/** An object of encoded members; undefined ones are left out. */
export function jsonObject(
  members: Readonly<Record<string, readonly JsonPiece[] | undefined>>,
): JsonPiece[] {
  const pieces: JsonPiece[] = [];
  for (const [name, value] of Object.entries(members)) {
    if (value) pieces.push(`${pieces.length === 0 ? '{' : ','}${JSON.stringify(name)}:`, ...value);
  }
  return pieces.length === 0 ? ['{}'] : [...pieces, '}'];
}

/** An array of encoded items. */
export function jsonArray(items: readonly (readonly JsonPiece[])[]): JsonPiece[] {
  return ['[', ...items.flatMap((item, index) => (index === 0 ? item : [',', ...item])), ']'];
}

/** A plain value, encoded; undefined stays undefined. */
export function jsonValue(value: string | number | undefined): JsonPiece[] | undefined {
  return value === undefined ? undefined : [JSON.stringify(value)];
}

/** Joins neighbouring short pieces, so that only long ones are written by themselves. */
export function toBuffers(pieces: readonly JsonPiece[]): Buffer[] {
  const buffers: Buffer[] = [];
  let short: Buffer[] = [];
  for (const piece of pieces) {
    const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece;
    if (bytes.length < LONG_BYTES) short.push(bytes);
    else {
      buffers.push(Buffer.concat(short), bytes);
      short = [];
    }
  }
  return [...buffers, Buffer.concat(short)];
}

/**
 * Sends JSON. Long pieces are shared between all answers that contain them. A short answer is sent as a string, which goes out
 * in one write with its headers.
 */
export function sendJson(reply: FastifyReply, pieces: readonly JsonPiece[]): FastifyReply {
  const buffers = toBuffers(pieces);
  const [first, ...more] = buffers;
  const length = buffers.reduce((sum, { byteLength }) => sum + byteLength, 0);
  void reply.header('content-type', JSON_TYPE).header('content-length', length);
  return reply.send(more.length === 0 ? first?.toString() : Readable.from(buffers));
}

/** Aborted when the client has closed its connection. */
export function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  if (reply.raw.destroyed) gone.abort();
  else reply.raw.once('close', () => gone.abort());
  return gone.signal;
}

/** Answers every error as `{"error": "..."}`. */
export function errorHandler(log: Logger) {
  return (error: FastifyError, request: FastifyRequest, reply: FastifyReply): void => {
    const status = isWorkerError(error) ? (STATUS[error.code] ?? 500) : (error.statusCode ?? 500);
    const isUnexpected = status >= 500 && !isWorkerError(error);
    if (isUnexpected) {
      log.error({ err: error, method: request.method, url: request.url }, 'A request failed');
    }
    const text = isUnexpected ? 'Internal error' : withoutPaths(shortened(error.message));
    const retryAfterMs = isWorkerError(error) ? error.retryAfterMs : undefined;
    if (status === 401) void reply.header('www-authenticate', 'Bearer');
    if (retryAfterMs !== undefined) {
      void reply.header('retry-after', Math.ceil(retryAfterMs / 1000));
    }
    void reply
      .code(status)
      .type(JSON_TYPE)
      .send(JSON.stringify({ error: text }));
  };
}

export function answerNotFound(request: FastifyRequest, reply: FastifyReply): void {
  const { method, url } = request;
  const [path = ''] = url.split('?');
  const error = `There is no ${method} ${path.slice(0, 200)}; /docs shows what there is`;
  void reply.code(404).type(JSON_TYPE).send(JSON.stringify({ error }));
}

/** Errors of the framework quote the whole URL. */
function shortened(text: string): string {
  return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}…` : text;
}

const STATUS: Partial<Record<ErrorCode, number>> = {
  'api.bad_request': 400,
  'api.unauthorized': 401,
  'api.forbidden': 403,
  'api.job_unknown': 404,
  'api.too_large': 413,
  'api.rate_limited': 429,
  'queue.full': 429,
  'api.stopping': 503,
};

const LONG_BYTES = 65_536;
const MOST_CHARACTERS = 2000;
const JSON_TYPE = 'application/json; charset=utf-8';
