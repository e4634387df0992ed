import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { WorkerError } from '../../errors.ts';
import type { LoopShare } from './loop-share.ts';

export interface IntakeLimits {
  /** Of all bodies that are arriving, together. */
  readonly mostBytes: number;
  readonly share: LoopShare;
}

/**
 * Keeps bodies as text. Clients send JSON with any content type or none, and parsing and writing a workflow again would change it.
 * The size of each body is limited while it arrives; of a compressed one, the size it has when it is decompressed. The rest of
 * a body that is too large is read and dropped, because a client that is still sending would otherwise see a broken connection
 * instead of the answer. All bodies that are arriving may have `mostBytes` together, so that many slow clients cannot fill the
 * memory.
 */
export function keepBodiesAsText(app: FastifyInstance, limits: IntakeLimits): void {
  const intake = new Intake(limits);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (request: FastifyRequest, payload: IncomingMessage) =>
    intake.read(payload, {
      limit: request.routeOptions.bodyLimit,
      isFile: request.routeOptions.config.takesFile,
    }),
  );
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The body is a file of any kind, and kept as bytes. */
    readonly takesFile?: boolean;
  }
}

/** @throws WorkerError `api.bad_request`, `api.too_large`, `queue.full` */
export function bodyText(request: FastifyRequest): string {
  if (request.body instanceof Refused) throw request.body.error;
  return typeof request.body === 'string' ? request.body : '';
}

/** The body of a route that takes a file. @throws WorkerError `api.bad_request`, `api.too_large`, `queue.full` */
export function bodyFile(request: FastifyRequest): Buffer {
  if (request.body instanceof Refused) throw request.body.error;
  return Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
}

/** Takes the place of a refused body. The error is thrown by the route: thrown earlier, it would break the connection. */
class Refused {
  readonly error: WorkerError;

  constructor(error: WorkerError) {
    this.error = error;
  }
}

/** Counts the bytes of all bodies that are not complete yet. */
class Intake {
  readonly #mostBytes: number;
  readonly #share: LoopShare;
  #bytes = 0;

  constructor({ mostBytes, share }: IntakeLimits) {
    this.#mostBytes = mostBytes;
    this.#share = share;
  }

  async read(
    payload: IncomingMessage,
    { limit, isFile = false }: { readonly limit: number; readonly isFile?: boolean | undefined },
  ): Promise<string | Buffer | Refused> {
    if (Number(payload.headers['content-length'] ?? 0) > limit) return new Refused(tooLarge(limit));
    const encoding = (payload.headers['content-encoding'] ?? '').trim().toLowerCase();
    const body = decompressed(payload, encoding);
    if (!body) return refused(payload, unknownEncoding(encoding));
    const chunks: Buffer[] = []; // strings would be copied again and again by the garbage collector
    let bytes = 0;
    try {
      for await (const chunk of body.iterator({ destroyOnReturn: body !== payload })) {
        const { length } = chunk as Buffer;
        if (bytes + length > limit) return refused(payload, tooLarge(limit));
        if (this.#bytes + length > this.#mostBytes) return refused(payload, tooMuchAtOnce());
        bytes += length;
        this.#bytes += length;
        chunks.push(chunk as Buffer);
        await this.#share.run(nothing); // waiting here slows the client down
      }
      return await this.#share.run(() => {
        const whole = Buffer.concat(chunks);
        return isFile ? whole : toText(whole);
      });
    } catch (error) {
      if (body === payload || payload.errored) throw error; // the client is gone
      return refused(payload, badRequest(`The body is not ${encoding}, or it is incomplete`));
    } finally {
      this.#bytes -= bytes;
    }
  }
}

/** The body without its compression; undefined when the encoding is not known. */
function decompressed(payload: IncomingMessage, encoding: string): Readable | undefined {
  if (encoding === '' || encoding === 'identity') return payload;
  const decoder = DECODERS[encoding]?.();
  if (!decoder) return undefined;
  // Not `pipeline`: when the decoder fails, it would close the connection, which the answer needs.
  payload.on('error', (error) => decoder.destroy(error));
  return payload.pipe(decoder);
}

const DECODERS: Readonly<Record<string, () => Duplex>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

/** The text of a body, if it can be JSON. Bytes that are not UTF-8 would silently become other characters. */
function toText(bytes: Buffer): string | Refused {
  const kind = KINDS.find(({ begin }) => begin.test(bytes.toString('latin1', 0, 4)));
  if (kind) return new Refused(badRequest(kind.problem));
  if (isUtf8(bytes)) return bytes.toString();
  return new Refused(badRequest('The body is not UTF-8; send JSON in UTF-8'));
}

/** Bodies that are no JSON in UTF-8, by their first bytes. */
const KINDS: readonly { readonly begin: RegExp; readonly problem: string }[] = [
  {
    begin: /^(?:\xff\xfe|\xfe\xff|\0|[^]\0)/, // every other byte of ASCII in UTF-16
    problem: 'The body is UTF-16; send JSON in UTF-8',
  },
  {
    begin: /^\x1f\x8b/, // the mark of gzip
    problem: 'The body is compressed; send the header "Content-Encoding: gzip" with it',
  },
  {
    begin: /^\s*--/,
    problem:
      'The body is a multipart form; send JSON, {"input": {...}}, with files as base64 or URLs in input.images',
  },
];

/** Reads and drops the rest; otherwise the client would never finish sending. */
function refused(payload: IncomingMessage, error: WorkerError): Refused {
  setImmediate(() => payload.resume()); // after the iterator has released the stream
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

function unknownEncoding(encoding: string): WorkerError {
  const shown = JSON.stringify(encoding.slice(0, 40));
  return badRequest(
    `The Content-Encoding ${shown} is not known; send gzip, deflate or br, or no compression`,
  );
}

const badRequest = (text: string): WorkerError => new WorkerError('api.bad_request', text);

const nothing = () => undefined;
const RETRY_MS = 5000;
