import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { WorkerError } from '../../errors.ts';
import type { LoopShare } from './loop-share.ts';

export interface IntakeLimits {
  /** Of all bodies that are on their way. */
  readonly mostBytes: number;
  readonly share: LoopShare;
}

/**
 * Bodies stay text, whatever their content type says: clients send JSON as a form or as nothing at all, and a parsed workflow would
 * not be the one that was sent. They are limited while they come in. One that is too large is not parsed and not cut off
 * either: a client that is still sending would see a broken connection instead of the answer. All bodies on their way
 * together may have `mostBytes`: many slow clients are refused before they fill the memory.
 */
export function keepBodiesAsText(app: FastifyInstance, limits: IntakeLimits): void {
  const intake = new Intake(limits);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (request: FastifyRequest, payload: IncomingMessage) =>
    intake.readText(payload, request.routeOptions.bodyLimit),
  );
}

/** @throws WorkerError `api.too_large`, `queue.full` */
export function bodyText(request: FastifyRequest): string {
  if (request.body instanceof Refused) throw request.body.error;
  return typeof request.body === 'string' ? request.body : '';
}

/** What a body becomes that is not kept. Thrown only when the route answers: thrown earlier, it would cut the client off. */
class Refused {
  readonly error: WorkerError;

  constructor(error: WorkerError) {
    this.error = error;
  }
}

/** Counts what is held of bodies that are not complete yet. */
class Intake {
  readonly #mostBytes: number;
  readonly #share: LoopShare;
  #bytes = 0;

  constructor({ mostBytes, share }: IntakeLimits) {
    this.#mostBytes = mostBytes;
    this.#share = share;
  }

  async readText(payload: IncomingMessage, limit: number): Promise<string | Refused> {
    if (Number(payload.headers['content-length'] ?? 0) > limit) return new Refused(tooLarge(limit));
    const chunks: Buffer[] = []; // as strings, the garbage collector would move them about again and again
    let bytes = 0;
    try {
      for await (const chunk of payload.iterator({ destroyOnReturn: false })) {
        const { length } = chunk as Buffer;
        if (bytes + length > limit) return refused(payload, tooLarge(limit));
        if (this.#bytes + length > this.#mostBytes) return refused(payload, tooMuchAtOnce());
        bytes += length;
        this.#bytes += length;
        chunks.push(chunk as Buffer);
        await this.#share.run(nothing); // a body nobody reads from is not sent on
      }
      return await this.#share.run(() => Buffer.concat(chunks).toString());
    } finally {
      this.#bytes -= bytes;
    }
  }
}

/** What is still to come is read and dropped, or the client would wait for ever to be rid of it. */
function refused(payload: IncomingMessage, error: WorkerError): Refused {
  setImmediate(() => payload.resume()); // once the iterator has let go of it
  return new Refused(error);
}

function tooLarge(limit: number): WorkerError {
  const size = limit.toLocaleString('en-US');
  const hint = 'put large images where the worker can fetch them, or raise the limit';
  const text = `The body is larger than ${size} bytes, which is all that is taken here; ${hint}`;
  return new WorkerError('api.too_large', text);
}

function tooMuchAtOnce(): WorkerError {
  const text =
    'The job is not accepted: too much is being sent at the same time; send it again later';
  return new WorkerError('queue.full', text, { retryAfterMs: RETRY_MS });
}

const nothing = () => undefined;
const RETRY_MS = 5000;
