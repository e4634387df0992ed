import { rm } from 'node:fs/promises';
import pRetry, { type RetryContext } from 'p-retry';
import type { Agent } from 'undici';
import { systemClock } from '../clock.ts';
import { isWorkerError, WorkerError } from '../errors.ts';
import { createPublicAgent } from '../http/public-address.ts';
import type { Part } from './answer.ts';
import type { Credential } from './credentials.ts';
import { describeFile, type Downloaded } from './downloaded.ts';
import { fillFrom } from './fill.ts';
import { openHttp } from './open-http.ts';
import { PartialFile } from './partial-file.ts';
import { failed } from './refusal.ts';
import { toHttpUrl } from './s3-url.ts';
import type { DownloadSettings } from './settings.ts';

export interface DownloadOptions {
  /** Where the file is put. */
  readonly newPath: () => Promise<string>;
  readonly credentials: readonly Credential[];
  readonly signal: AbortSignal;
}

/** Fetches what callers name by `http(s)://` and `s3://` URLs, to disk, and only from the public internet. */
export class Downloader implements AsyncDisposable {
  readonly #settings: DownloadSettings;
  readonly #agent: Agent;

  constructor(settings: DownloadSettings) {
    this.#settings = settings;
    this.#agent = createPublicAgent({ allow: settings.allowPrivate });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  /**
   * Fetches one file. What breaks off is continued where it did, if the server has the same file still.
   * @throws WorkerError `input.download_refused` or `input.download_failed`; the signal's reason when it is aborted.
   */
  async download(sent: string, options: DownloadOptions): Promise<Downloaded> {
    const url = parseUrl(sent);
    const path = await options.newPath();
    const late = AbortSignal.timeout(this.#settings.timeoutMs);
    const signal = AbortSignal.any([options.signal, late]);
    try {
      await using file = await PartialFile.create(path);
      const last = await this.#fill(file, url, { ...options, signal });
      return await describeFile(file, last, url);
    } catch (error) {
      await rm(path, { force: true });
      options.signal.throwIfAborted();
      throw late.aborted ? tooSlow(url, this.#settings) : error;
    }
  }

  async #fill(file: PartialFile, url: URL, options: DownloadOptions): Promise<Part> {
    const { retries, retryDelayMs } = this.#settings;
    let best = 0;
    let tries = 0;
    const pause = async ({ error, retriesLeft }: RetryContext) => {
      const asked = isWorkerError(error) ? error.retryAfterMs : undefined;
      if (asked !== undefined && retriesLeft > 0) await systemClock.sleep(asked, options.signal);
    };
    const work = (attempt: number) => {
      tries = attempt;
      return this.#try(file, url, options);
    };
    return await pRetry(work, {
      retries,
      minTimeout: retryDelayMs,
      maxTimeout: LONGEST_DELAY_MS,
      randomize: true,
      signal: options.signal,
      shouldRetry: ({ error }) => isWorkerError(error, 'input.download_failed'),
      // A try that got further than all before it is not held against the server.
      shouldConsumeRetry: () => {
        const gained = file.bytes - best;
        best = Math.max(best, file.bytes);
        return gained < PROGRESS_BYTES;
      },
      onFailedAttempt: pause,
    }).catch((error: unknown) => {
      throw tries > 1 ? afterTries(error, tries) : error;
    });
  }

  async #try(file: PartialFile, url: URL, options: DownloadOptions): Promise<Part> {
    const { idleTimeoutMs, maxBytes } = this.#settings;
    const isS3 = url.protocol === 's3:';
    const { signal } = options;
    const part = await openHttp(
      isS3 ? await toHttpUrl(url, options.credentials) : url,
      { offset: file.bytes, version: file.version },
      {
        agent: this.#agent,
        // A signed URL brings everything it needs.
        credentials: isS3 ? [] : options.credentials,
        idleTimeoutMs,
        signal,
      },
    );
    await fillFrom(part, file, { url, maxBytes, signal });
    return part;
  }
}

const PROGRESS_BYTES = 1024 * 1024;
const LONGEST_DELAY_MS = 10_000;

function parseUrl(sent: string): URL {
  const url = URL.parse(sent.trim());
  if (url && FETCHED.has(url.protocol)) return url;
  throw new WorkerError(
    'input.download_refused',
    url
      ? `URLs that begin with ${url.protocol}// are not fetched; http://, https:// and s3:// are`
      : 'Expected a URL that begins with https://, http:// or s3://',
  );
}

const FETCHED = new Set(['http:', 'https:', 's3:']);

function tooSlow(url: URL, { timeoutMs }: DownloadSettings): WorkerError {
  return failed(url, `it was not fetched within ${timeoutMs / 1000} s (DOWNLOAD_TIMEOUT_S)`);
}

function afterTries(error: unknown, tries: number): unknown {
  if (!isWorkerError(error)) return error;
  const { code, message, cause } = error;
  return new WorkerError(code, `${message}, after ${tries} tries`, { cause });
}
