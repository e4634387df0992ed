import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { WorkerError } from '../errors.ts';

/**
 * Bodies stay text, whatever their content type says: clients send JSON as a form or as nothing at all, and a parsed workflow would
 * not be the one that was sent. They are limited while they come in. One that is too large is not parsed and not cut off
 * either: a client that is still sending would see a broken connection instead of the answer.
 */
export function keepBodiesAsText(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (request: FastifyRequest, payload: IncomingMessage) =>
    readText(payload, request.routeOptions.bodyLimit),
  );
}

/** @throws WorkerError `api.too_large` */
export function bodyText(request: FastifyRequest): string {
  if (request.body instanceof TooLarge) throw request.body.error;
  return typeof request.body === 'string' ? request.body : '';
}

class TooLarge {
  readonly error: WorkerError;

  constructor(limit: number) {
    const size = limit.toLocaleString('en-US');
    const hint = 'put large images where the worker can fetch them, or raise the limit';
    this.error = new WorkerError(
      'api.too_large',
      `The body is larger than ${size} bytes, which is all that is taken here; ${hint}`,
    );
  }
}

async function readText(payload: IncomingMessage, limit: number): Promise<string | TooLarge> {
  if (Number(payload.headers['content-length'] ?? 0) > limit) return new TooLarge(limit);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of payload.iterator({ destroyOnReturn: false })) {
    bytes += (chunk as Buffer).length;
    if (bytes > limit) return new TooLarge(limit);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString();
}
