import { Readable } from 'node:stream';
import { FormData, type Agent } from 'undici';
import { systemClock } from '../clock.ts';
import { WorkerError } from '../errors.ts';
import { answerFailure, connectionFailure, type HttpFailure } from '../http/failure.ts';
import { createPublicAgent } from '../http/public-address.ts';
import { redactUrl, withoutUser } from '../http/redact.ts';
import { retry, RETRY_POLICIES } from '../http/retry.ts';
import { USER_AGENT } from '../version.ts';
import type { StoreContext, StoredFile } from './storage.ts';

interface SenderOptions extends Pick<StoreContext, 'allowPrivate'> {
  /** Delay before the first retry; shorter than the default only in tests. */
  readonly retryDelayMs?: number;
  /** Time a server may be silent before an attempt is given up; 60 s by default. */
  readonly silenceMs?: number;
}

/** The address a file is sent to over plain HTTP, and the headers that go with it. */
interface SendTarget {
  /** May have user and password, sent as basic authentication, and a signature in its query. */
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** Sends files to addresses that callers name, if those are public. Files are read from disk as they leave. */
export class Sender implements AsyncDisposable {
  readonly #agent: Agent;
  readonly #retryDelayMs: number;
  readonly #silenceMs: number;

  constructor({
    allowPrivate,
    retryDelayMs = RETRY_POLICIES.upload.firstMs,
    silenceMs = 60_000,
  }: SenderOptions) {
    this.#agent = createPublicAgent({ allow: allowPrivate });
    this.#retryDelayMs = retryDelayMs;
    this.#silenceMs = silenceMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  /** @throws WorkerError `storage.upload_failed`; the signal's reason when it is aborted. */
  async put(target: SendTarget, file: StoredFile, signal: AbortSignal): Promise<void> {
    const { content, mediaType } = file;
    const { url, headers: authorization } = withoutUser(target.url);
    const isAzure = /\.blob\.[a-z.]+$/.test(url.hostname);
    const headers = {
      'content-type': mediaType,
      ...authorization,
      // Azure demands this header; a signed URL cannot carry it.
      ...(isAzure && { 'x-ms-blob-type': 'BlockBlob' }),
      ...sendable(target.headers),
      'content-length': String(content.size),
    };
    const body = () => Readable.fromWeb(content.stream());
    await this.#send({ method: 'PUT', url, headers, body }, signal);
  }

  /**
   * Sends a form: `fields` first and the file last, the order object stores demand.
   * @throws WorkerError `storage.upload_failed`; the signal's reason when it is aborted.
   */
  async postForm(
    target: SendTarget & { readonly fields: Readonly<Record<string, string>> },
    file: StoredFile,
    signal: AbortSignal,
  ): Promise<void> {
    const { url, headers: authorization } = withoutUser(target.url);
    const headers = sendable(target.headers);
    delete headers['content-type']; // the form sets its own, with its boundary
    const body = () => {
      const form = new FormData();
      for (const [name, value] of Object.entries(target.fields)) form.append(name, value);
      form.append('file', new File([file.content], file.uniqueName, { type: file.mediaType }));
      return form;
    };
    const sending = {
      method: 'POST',
      url,
      headers: { ...authorization, ...headers },
      body,
    } as const;
    await this.#send(sending, signal);
  }

  async #send(sending: Sending, signal: AbortSignal): Promise<void> {
    const { method, url } = sending;
    let attempts = 0;
    const attempt = async (number: number) => {
      attempts = number;
      await this.#sendOnce(sending, signal);
    };
    try {
      await retry(attempt, {
        policy: { ...RETRY_POLICIES.upload, firstMs: this.#retryDelayMs },
        clock: systemClock,
        signal,
        isTransient: (error) => error instanceof SendError && error.failure.isTransient,
        retryAfterMs: (error) =>
          error instanceof SendError ? error.failure.retryAfterMs : undefined,
      });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof SendError)) throw error;
      const after = attempts > 1 ? `, after ${attempts} tries` : '';
      const text = `[${method}] ${redactUrl(url)}: ${error.failure.reason}${after}`;
      throw new WorkerError('storage.upload_failed', text);
    }
  }

  /** Redirects are not followed: a signature is valid for one address. */
  async #sendOnce({ method, url, headers, body }: Sending, signal: AbortSignal): Promise<void> {
    try {
      const answer = await this.#agent.request({
        method,
        origin: url.origin,
        path: url.pathname + url.search,
        headers: { 'user-agent': USER_AGENT, ...headers },
        body: body(),
        headersTimeout: this.#silenceMs,
        bodyTimeout: this.#silenceMs,
        signal,
      });
      const failure = await answerFailure(answer); // also reads the body, which frees the connection
      if (answer.statusCode < 200 || answer.statusCode >= 300) throw new SendError(failure);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof SendError) throw error;
      const reasons = { UND_ERR_BODY_TIMEOUT: 'the server did not take the file in time' };
      const to = { host: url.hostname, purpose: 'upload', reasons } as const;
      throw new SendError(connectionFailure(error, to));
    }
  }
}

/** One upload over plain HTTP. */
interface Sending {
  readonly method: 'PUT' | 'POST';
  readonly url: URL;
  readonly headers: Record<string, string>;
  /** Makes the body anew for every attempt: a stream can be read only once. */
  readonly body: () => Readable | FormData;
}

/** A failed attempt. */
class SendError extends Error {
  readonly failure: HttpFailure;

  constructor(failure: HttpFailure) {
    super(failure.reason);
    this.failure = failure;
  }
}

/** Headers with lower-case names, without those that belong to the connection. */
function sendable(headers: Readonly<Record<string, string>> = {}): Record<string, string> {
  const named = Object.entries(headers).map(
    ([name, value]) => [name.toLowerCase(), value] as const,
  );
  return Object.fromEntries(named.filter(([name]) => !OF_THE_CONNECTION.has(name)));
}

const OF_THE_CONNECTION: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);
