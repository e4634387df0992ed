import { arch, release, type } from 'node:os';
import { Agent, request, type Dispatcher } from 'undici';
import { SHORT_ANSWER, type AnswerLimit } from '../../http/answer-limit.ts';
import { readBytes, toRequestBody } from '../../http/bodies.ts';
import { parseRetryAfter } from '../../http/retry.ts';
import { piecesOf, type JsonBody } from '../../json-body.ts';
import { SpareBuffers } from '../../spare-buffers.ts';
import { USER_AGENT } from '../../version.ts';

/** An answer of the platform, read to its end. */
export interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly body: Buffer;
  /** At most a minute; a platform that asks for more is asked again earlier. */
  readonly retryAfterMs: number | undefined;
  /** To be called when nothing reads `body` any more; its memory is used again. */
  readonly release: () => void;
}

export interface RunpodClientOptions {
  /** Sent as it is, without `Bearer`. */
  readonly apiKey?: string | undefined;
  /** Added to the User-Agent as `Integration/<value>`. */
  readonly integration?: string | undefined;
  /** Silence after which a post is given up; 60 s when left out. */
  readonly postTimeoutMs?: number;
}

/**
 * RunPod's HTTP for workers: its headers, long polls and posts. It has connections of its own. After a frozen worker has
 * been thawed they may be dead: then one request fails, and the next one opens a new connection.
 */
export class RunpodClient implements AsyncDisposable {
  readonly #agent = new Agent({ connectTimeout: 10_000, bodyTimeout: 30_000 });
  readonly #headers: Readonly<Record<string, string>>;
  readonly #postTimeoutMs: number;
  readonly #spare = new SpareBuffers();

  constructor({ apiKey, integration, postTimeoutMs = 60_000 }: RunpodClientOptions) {
    const product = `${USER_AGENT} (${type()} ${release()}; ${arch()})`;
    const language = `Language/Node ${process.versions.node}`;
    const userAgent = [product, language, ...(integration ? [`Integration/${integration}`] : [])];
    this.#headers = { authorization: apiKey ?? '', 'user-agent': userAgent.join(' ') };
    this.#postTimeoutMs = postTimeoutMs;
  }

  /**
   * A long poll. Undefined when no answer has begun within `limitMs`. An answer that has begun is read to its end even if
   * `signal` aborts, because it may carry a job that cannot be handed back; reading may take another `limitMs`.
   * @throws the reason of `signal`, or the error of the connection.
   */
  async poll(
    url: string,
    { signal, limitMs }: { readonly signal: AbortSignal; readonly limitMs: number },
  ): Promise<Answer | undefined> {
    signal.throwIfAborted();
    const waiting = new AbortController();
    const abort = () => waiting.abort(signal.reason);
    signal.addEventListener('abort', abort);
    const late = new Error('no answer has begun');
    const timer = setTimeout(() => waiting.abort(late), limitMs);
    const endWait = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    };
    try {
      const response = await request(url, {
        dispatcher: this.#agent,
        headers: { ...this.#headers, 'content-type': 'application/json' },
        headersTimeout: 0,
        signal: waiting.signal,
      });
      endWait();
      const body = await this.#readWithin(limitMs, response, TAKEN);
      return { ...toAnswer(response, body), release: () => this.#spare.giveBack(body) };
    } catch (error) {
      if (waiting.signal.reason === late) return undefined;
      throw error;
    } finally {
      endWait();
    }
  }

  /** Posts JSON as the platform's own workers do: with the content type of a form. */
  async post(
    url: string,
    posted: { readonly jobId: string; readonly body: JsonBody; readonly signal: AbortSignal },
  ): Promise<Answer> {
    const { jobId, body, signal } = posted;
    const response = await request(url, {
      dispatcher: this.#agent,
      method: 'POST',
      headers: {
        ...this.#headers,
        'content-type': 'application/x-www-form-urlencoded',
        'content-length': String(body.bytes),
        charset: 'utf-8',
        // Headers hold printable ASCII. Ids of the platform are nothing else; in other ids the rest is escaped.
        'x-request-id': jobId.toWellFormed().replace(/[^ -~]/gu, encodeURIComponent),
      },
      headersTimeout: this.#postTimeoutMs,
      signal,
      body:
        body.bytes <= SMALL_BYTES
          ? Buffer.concat([...piecesOf(body)])
          : toRequestBody(piecesOf(body)),
    });
    // The text only explains a refusal, so an answer that breaks off after its status is good enough.
    const answer = await this.#readWithin(POST_ANSWER_MS, response, SHORT_ANSWER).catch(() =>
      Buffer.alloc(0),
    );
    return toAnswer(response, answer);
  }

  /** Reads a body to its end, or cuts it off after `ms`: a body may trickle for ever. */
  async #readWithin(
    ms: number,
    response: Dispatcher.ResponseData,
    limit: AnswerLimit,
  ): Promise<Buffer<ArrayBuffer>> {
    const tooLate = new Error(`the answer began, but did not end within ${ms / 1000} s`);
    const timer = setTimeout(() => response.body.destroy(tooLate), ms);
    try {
      return await readBytes(response, limit, this.#spare);
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }
}

/** A platform sends jobs of at most 20 MB; another one may send more, and several at once. */
const TAKEN: AnswerLimit = { maxBytes: 256 * 1024 * 1024 };

const POST_ANSWER_MS = 10_000;

/** Smaller bodies leave together with their headers, in one write. */
const SMALL_BYTES = 64 * 1024;

function toAnswer(response: Dispatcher.ResponseData, body: Buffer): Answer {
  return {
    status: response.statusCode,
    reason: response.statusText,
    body,
    release: () => undefined,
    retryAfterMs: parseRetryAfter(response.headers['retry-after'], { maxMs: 60_000 }),
  };
}
