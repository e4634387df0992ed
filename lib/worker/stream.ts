import { isError, describeError } from '../errors.ts';
import { Notifier } from '../waiting.ts';
import { encodePost, type PostBody } from '../queues/post-body.ts';
import { isPlainObject, isTrue, toErrorText, traceOf, type ResultBody } from './result-body.ts';

/** What a streaming handler returns. */
export type Stream = AsyncIterable<unknown> | Iterable<unknown>;

/** Iterators stream, whoever made them. Strings, arrays, maps and other collections are values. */
export function isStream(value: unknown): value is Stream {
  if (typeof value !== 'object' || value === null) return false;
  if (Symbol.asyncIterator in value) return true;
  return Symbol.iterator in value && 'next' in value && typeof value.next === 'function';
}

export interface StreamOptions {
  /** Posts one chunk until the platform has it; rejects when that is hopeless. */
  readonly post: (chunk: PostBody) => Promise<void>;
  /** Whether the values are also in the result. */
  readonly aggregate: boolean;
  readonly signal: AbortSignal;
}

/**
 * Posts every value as it comes, and says what the result is in the end. A value with an `error`, a handler that throws and a
 * chunk that cannot be posted end the stream with a failure; what came before has been posted then.
 */
export async function runStream(stream: Stream, options: StreamOptions): Promise<ResultBody> {
  const line = new ChunkLine(options.post);
  const result = await feed(stream, line, options);
  await line.emptied();
  return line.failure ? { error: `The stream broke off: ${describeError(line.failure)}` } : result;
}

/** Leaving the loop tells the handler's iterator that nobody listens any more. */
async function feed(
  stream: Stream,
  line: ChunkLine,
  { aggregate, signal }: StreamOptions,
): Promise<ResultBody> {
  const output: unknown[] = [];
  try {
    for await (const value of stream) {
      if (signal.aborted || line.failure) break;
      if (isPlainObject(value) && isTrue(value.error)) return { error: toErrorText(value.error) };
      await line.push(value);
      if (aggregate) output.push(value);
    }
    return { output };
  } catch (error) {
    const what = isError(error) ? describeError(error) : String(error);
    return { error: `handler: ${what} \ntraceback: ${traceOf(error)}` };
  }
}

/**
 * Chunks waiting to be posted, strictly one after the other: the platform keeps them in the order they arrive, so a later one must
 * not leave before an earlier one is acknowledged. The handler runs ahead of the posts, as far as the line is long.
 */
class ChunkLine {
  readonly #post: (chunk: PostBody) => Promise<void>;
  readonly #moved = new Notifier();
  #tail: Promise<void> = Promise.resolve();
  #waiting = 0;
  #bytes = 0;
  /** Why a chunk could not be posted; later ones are not posted then. */
  failure: unknown;

  constructor(post: (chunk: PostBody) => Promise<void>) {
    this.#post = post;
  }

  /** Resolves when the chunk has its place in the line. */
  async push(value: unknown): Promise<void> {
    const chunk = encodePost({ output: value ?? null });
    while (this.#waiting >= MOST_CHUNKS || this.#bytes >= MOST_BYTES) await this.#moved.notified();
    this.#waiting++;
    this.#bytes += chunk.bytes;
    this.#tail = this.#tail.then(() => this.#send(chunk));
  }

  async emptied(): Promise<void> {
    await this.#tail;
  }

  async #send(chunk: PostBody): Promise<void> {
    try {
      if (this.failure === undefined) await this.#post(chunk);
    } catch (error) {
      this.failure = error;
    } finally {
      this.#waiting--;
      this.#bytes -= chunk.bytes;
      this.#moved.notify();
    }
  }
}

const MOST_CHUNKS = 1024;
const MOST_BYTES = 16_000_000;
