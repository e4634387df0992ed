import type { Agent } from 'node:http';
import type { Duplex } from 'node:stream';

/**
 * The most that a peer may send as one answer. A store that a caller names, or a broken server, may send without end, or
 * so slowly that the answer never ends.
 */
export interface AnswerLimit {
  readonly maxBytes: number;
  /** Time before the pace counts; 60 s when left out. */
  readonly graceMs?: number;
}

/** From then on an answer must have brought this many bytes per second on average. A modem is faster. */
const MIN_BYTES_PER_S = 1024;
const GRACE_MS = 60_000;

/** For answers that say whether something worked. */
export const SHORT_ANSWER: AnswerLimit = { maxBytes: 1024 * 1024 };

/** Measures one answer while it arrives. */
export class AnswerMeter {
  readonly #limit: AnswerLimit;
  readonly #now: () => number;
  readonly #startedAt: number;
  #bytes = 0;

  /** @param now a monotonic clock, in milliseconds. */
  constructor(limit: AnswerLimit, now = () => performance.now()) {
    this.#limit = limit;
    this.#now = now;
    this.#startedAt = now();
  }

  /** Counts bytes that have arrived. The error, with the code `EANSWER`, says why the rest is not read. */
  count(bytes: number): Error | undefined {
    this.#bytes += bytes;
    const { maxBytes, graceMs = GRACE_MS } = this.#limit;
    if (this.#bytes > maxBytes) return tooLarge(maxBytes);
    const ms = this.#now() - this.#startedAt;
    const expected = ((ms - graceMs) / 1000) * MIN_BYTES_PER_S;
    if (this.#bytes >= expected) return undefined;
    const text = `the answer is too slow: ${this.#bytes} bytes in ${Math.round(ms / 1000)} s`;
    return Object.assign(new Error(text), { code: 'EANSWER' });
  }
}

function tooLarge(maxBytes: number): Error {
  const text = `the answer has more than ${maxBytes} bytes`;
  return Object.assign(new Error(text), { code: 'EANSWER' });
}

/** The chunks of an answer, up to its limit. @throws Error with the code `EANSWER`, or that of the connection. */
export async function* limited<T extends Uint8Array>(
  chunks: AsyncIterable<T>,
  limit: AnswerLimit,
): AsyncGenerator<T> {
  const meter = new AnswerMeter(limit);
  for await (const chunk of chunks) {
    const problem = meter.count(chunk.length);
    if (problem) throw problem; // this also closes the connection
    yield chunk;
  }
}

/** The same answer of `fetch`, with a body that has a limit. Bodies that were compressed count as what they become. */
export function limitedResponse(
  response: Pick<Response, 'body' | 'status' | 'statusText' | 'headers' | 'url'>,
  limit: AnswerLimit,
): Response {
  const meter = new AnswerMeter(limit);
  const counted = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      const problem = meter.count(chunk.length);
      if (problem) controller.error(problem);
      else controller.enqueue(chunk);
    },
  });
  const { status, statusText, headers, url } = response;
  const body = response.body?.pipeThrough(counted) ?? null;
  const same = new Response(body, { status, statusText, headers });
  return Object.defineProperty(same, 'url', { value: url });
}

/**
 * Limits the answers to all requests of an agent: for libraries that read answers themselves. A connection that brings more
 * is cut; its headers count as well.
 */
export function limitAnswers<T extends Agent>(agent: T, limit: AnswerLimit): T {
  const meters = new WeakMap<object, AnswerMeter>();
  const connect = agent.createConnection.bind(agent);
  const watch = (socket: Duplex | null | undefined) => {
    socket?.on('data', (chunk: Buffer) => {
      const meter = meters.get(socket) ?? new AnswerMeter(limit);
      meters.set(socket, meter);
      const problem = meter.count(chunk.length);
      if (problem) socket.destroy(problem);
    });
    return socket;
  };
  agent.createConnection = (options, callback) => watch(connect(options, callback));
  agent.on('free', (socket: object) => meters.delete(socket)); // the next answer counts anew
  return agent;
}
