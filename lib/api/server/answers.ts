import { Readable } from 'node:stream';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { isWorkerError, type ErrorCode } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { toBuffers, type Piece } from './json-object.ts';

/**
 * Answers JSON that is there as text. Long pieces are shared between all answers that are on their way; a short answer is sent as
 * a string, which goes out in one write with its headers.
 */
export function sendJson(reply: FastifyReply, pieces: readonly Piece[]): void {
  const buffers = toBuffers(pieces);
  const [first, ...more] = buffers;
  const length = buffers.reduce((sum, { byteLength }) => sum + byteLength, 0);
  void reply.header('content-type', JSON_TYPE).header('content-length', length);
  void reply.send(more.length === 0 ? first?.toString() : Readable.from(buffers));
}

/** Aborted when the client is no longer there to read the answer. */
export function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  if (reply.raw.destroyed) gone.abort();
  else reply.raw.once('close', () => gone.abort());
  return gone.signal;
}

/** Every error is `{"error": "..."}`, whoever raised it. */
export function errorHandler(log: Logger) {
  return (error: FastifyError, request: FastifyRequest, reply: FastifyReply): void => {
    const status = statusOf(error);
    if (status >= 500 && !isWorkerError(error)) {
      log.error({ err: error, method: request.method, url: request.url }, 'A request failed');
    }
    const text =
      status >= 500 && !isWorkerError(error) ? 'Internal error' : shortened(error.message);
    addHeaders(reply, error, status);
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

/** The framework quotes the whole URL it could not use. */
function shortened(text: string): string {
  return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}…` : text;
}

function statusOf(error: FastifyError): number {
  if (isWorkerError(error)) return STATUS[error.code] ?? 500;
  return error.statusCode ?? 500;
}

function addHeaders(reply: FastifyReply, error: Error, status: number): void {
  if (status === 401) void reply.header('www-authenticate', 'Bearer');
  const retryAfterMs = isWorkerError(error) ? error.retryAfterMs : undefined;
  if (retryAfterMs !== undefined) {
    void reply.header('retry-after', Math.ceil(retryAfterMs / 1000));
  }
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

const MOST_CHARACTERS = 2000;
const JSON_TYPE = 'application/json; charset=utf-8';
