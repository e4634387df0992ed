import { arch, release, type } from 'node:os';
import { Readable } from 'node:stream';
import { Agent, request, type Dispatcher } from 'undici';
import { parseRetryAfter } from '../../http/failure.ts';
import type { JsonBody } from '../../json-body.ts';
import { VERSION } from '../../version.ts';

/** What the platform answered, read to its end. */
export interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly text: string;
  readonly retryAfterMs: number | undefined;
}

export interface PlatformClientOptions {
  /** Sent as it is, without `Bearer`. */
  readonly apiKey?: string | undefined;
  /** Added to the User-Agent as `Integration/<value>`. */
  readonly integration?: string | undefined;
  /** Silence after which a post is given up; shorter than the default only in tests. */
  readonly postTimeoutMs?: number;
}

/**
 * RunPod's worker-facing HTTP: its headers, its long polls, its way to take posts. Connections are its own; they may be
 * dead after a frozen worker has been thawed, which shows as an error of the next request and is over with the one after.
 */
export class PlatformClient implements AsyncDisposable {
  readonly #agent = new Agent({ connectTimeout: 10_000, bodyTimeout: 30_000 });
  readonly #headers: Readonly<Record<string, string>>;
  readonly #postTimeoutMs: number;

  constructor({ apiKey, integration, postTimeoutMs = POST_TIMEOUT_MS }: PlatformClientOptions) {
    this.#postTimeoutMs = postTimeoutMs;
    this.#headers = { authorization: apiKey ?? '', 'user-agent': userAgent(integration) };
  }

  /**
   * A long poll. Undefined when no answer has begun within `limitMs`. An answer that has begun is read to its end,
   * whatever `signal` says: it may carry a job, and there is no way to hand that back. It may take as long again.
   * @throws the reason of `signal`, or the error of the connection.
   */
  async poll(
    url: string,
    { signal, limitMs }: { signal: AbortSignal; limitMs: number },
  ): Promise<Answer | undefined> {
    using wait = new BoundedWait(signal, limitMs);
    try {
      const response = await request(url, {
        dispatcher: this.#agent,
        headers: { ...this.#headers, 'content-type': 'application/json' },
        headersTimeout: 0,
        signal: wait.signal,
      });
      wait[Symbol.dispose]();
      return toAnswer(response, await readWithin(limitMs, response.body));
    } catch (error) {
      if (wait.isOver) return undefined;
      throw error;
    }
  }

  /**
   * Posts JSON the way the platform's own workers do, under the name of a form. What it answers beside the status is only
   * of interest when it refuses.
   */
  async post(
    url: string,
    { jobId, body, signal }: { jobId: string; body: JsonBody; signal: AbortSignal },
  ): Promise<Answer> {
    const response = await request(url, {
      dispatcher: this.#agent,
      method: 'POST',
      headers: {
        ...this.#headers,
        'content-type': 'application/x-www-form-urlencoded',
        'content-length': String(body.bytes),
        charset: 'utf-8',
        'x-request-id': toHeader(jobId),
      },
      headersTimeout: this.#postTimeoutMs,
      signal,
      body: Readable.from(inPieces(body.chunks)),
    });
    const text = await readWithin(ANSWER_MS, response.body).catch(() => '');
    return toAnswer(response, text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }
}

/** Nothing more of a post leaves, or nothing comes back. */
const POST_TIMEOUT_MS = 60_000;
/** How long the few words after the status of a post may take. */
const ANSWER_MS = 10_000;

/**
 * Undici hears of progress only when a whole chunk has left: as one chunk, megabytes over a narrow uplink would look
 * like silence and be given up in the middle, again and again.
 */
function* inPieces(chunks: JsonBody['chunks']): Generator<Uint8Array> {
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
      yield chunk.subarray(at, at + PIECE_BYTES);
    }
  }
}

const PIECE_BYTES = 64 * 1024;

/** Reads an answer that has begun. One that trickles for ever is cut off: somebody waits for its end. */
async function readWithin(ms: number, body: Dispatcher.ResponseData['body']): Promise<string> {
  const late = setTimeout(
    () => body.destroy(new Error(`the answer began, but did not end within ${ms / 1000} s`)),
    ms,
  );
  try {
    return await body.text();
  } finally {
    clearTimeout(late);
  }
}

/** Headers hold printable ASCII, which is all that ids of the platform are made of; others are escaped. */
function toHeader(jobId: string): string {
  return jobId.toWellFormed().replace(/[^ -~]/gu, encodeURIComponent);
}

/** Aborts when the outer signal does or the time is over, unless it has been disposed before. */
class BoundedWait implements Disposable {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #timer: NodeJS.Timeout;
  readonly #abort = () => this.#controller.abort(this.#outer.reason);
  isOver = false;

  constructor(outer: AbortSignal, limitMs: number) {
    outer.throwIfAborted();
    this.#outer = outer;
    outer.addEventListener('abort', this.#abort);
    this.#timer = setTimeout(() => {
      this.isOver = true;
      this.#controller.abort();
    }, limitMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener('abort', this.#abort);
  }
}

function toAnswer(response: Dispatcher.ResponseData, text: string): Answer {
  return {
    status: response.statusCode,
    reason: response.statusText,
    text,
    retryAfterMs: parseRetryAfter(response.headers['retry-after'], {
      maxMs: LONGEST_RETRY_AFTER_MS,
    }),
  };
}

/** A platform that asks for a longer delay is asked again after a minute. */
const LONGEST_RETRY_AFTER_MS = 60_000;

function userAgent(integration: string | undefined): string {
  const product = `comfyui-worker/${VERSION} (${type()} ${release()}; ${arch()})`;
  const language = `Language/Node ${process.versions.node}`;
  return [product, language, ...(integration ? [`Integration/${integration}`] : [])].join(' ');
}
