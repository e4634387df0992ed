import { rm } from 'node:fs/promises';
import type { Agent } from 'undici';
import { systemClock } from '../clock.ts';
import type { Config } from '../config.ts';
import { isWorkerError, WorkerError } from '../errors.ts';
import { createPublicAgent } from '../http/public-address.ts';
import { retry, RETRY_POLICIES, type RetryPolicy } from '../http/retry.ts';
import { toHttpUrl, type Credential } from './credentials.ts';
import { failed } from './download-error.ts';
import { openHttp, type FilePart } from './open-http.ts';
import { PartialFile, type DownloadedFile } from './partial-file.ts';

/** Limits of a download. Times are in milliseconds. */
export interface DownloadSettings {
  /** For one file. */
  readonly maxBytes: number;
  /** For one file, all attempts together. */
  readonly timeoutMs: number;
  /** Silence after which an attempt is given up. */
  readonly idleTimeoutMs: number;
  /** For attempts that made no progress. */
  readonly retryPolicy: RetryPolicy;
  /** Servers that may have a private address, as `host:port`. */
  readonly allowPrivate: readonly string[];
}

export function downloadSettings(config: Config): DownloadSettings {
  return {
    maxBytes: config.DOWNLOAD_MAX_BYTES,
    timeoutMs: config.DOWNLOAD_TIMEOUT_S * 1000,
    idleTimeoutMs: config.DOWNLOAD_IDLE_TIMEOUT_S * 1000,
    retryPolicy: { ...RETRY_POLICIES.download, retries: config.DOWNLOAD_RETRIES },
    allowPrivate: config.DOWNLOAD_ALLOW_PRIVATE,
  };
}

interface DownloadOptions {
  /** Where to put the file. */
  readonly newPath: () => Promise<string>;
  readonly credentials: readonly Credential[];
  readonly signal: AbortSignal;
}

/** Downloads `http(s)://` and `s3://` URLs that callers send to files, from public addresses only. */
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
   * Downloads one file. A broken transfer is resumed if the server still has the same file.
   * @throws WorkerError `input.download_refused` or `input.download_failed`; the signal's reason if it is aborted.
   */
  async download(sent: string, options: DownloadOptions): Promise<DownloadedFile> {
    const url = parseUrl(sent);
    const { timeoutMs } = this.#settings;
    const path = await options.newPath();
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = AbortSignal.any([options.signal, timeout]);
    try {
      await using file = await PartialFile.create(path);
      const last = await this.#fetchInAttempts(file, url, { ...options, signal });
      return await file.describe(last, url);
    } catch (error) {
      await rm(path, { force: true });
      options.signal.throwIfAborted();
      if (!timeout.aborted) throw error;
      throw failed(url, `it was not fetched within ${timeoutMs / 1000} s (DOWNLOAD_TIMEOUT_S)`);
    }
  }

  async #fetchInAttempts(file: PartialFile, url: URL, options: DownloadOptions): Promise<FilePart> {
    let attempts = 0;
    let mostBytes = 0;
    try {
      return await retry(
        (attempt) => {
          attempts = attempt;
          return this.#fetch(file, url, options);
        },
        {
          policy: this.#settings.retryPolicy,
          clock: systemClock,
          signal: options.signal,
          isTransient: (error) => isWorkerError(error, 'input.download_failed'),
          retryAfterMs: (error) => (isWorkerError(error) ? error.retryAfterMs : undefined),
          hasProgressed: () => {
            const gained = file.bytes - mostBytes;
            mostBytes = Math.max(mostBytes, file.bytes);
            return gained >= PROGRESS_BYTES;
          },
        },
      );
    } catch (error) {
      if (attempts <= 1 || !isWorkerError(error)) throw error;
      const { code, message, cause } = error;
      throw new WorkerError(code, `${message}, after ${attempts} tries`, { cause });
    }
  }

  async #fetch(file: PartialFile, url: URL, options: DownloadOptions): Promise<FilePart> {
    const { idleTimeoutMs, maxBytes } = this.#settings;
    const { credentials, signal } = options;
    const isS3 = url.protocol === 's3:';
    const part = await openHttp(
      isS3 ? await toHttpUrl(url, credentials) : url,
      {
        offset: file.bytes,
        etag: file.etag,
      },
      {
        agent: this.#agent,
        credentials: isS3 ? [] : credentials, // a presigned URL needs no others
        idleTimeoutMs,
        signal,
      },
    );
    await file.receive(part, { url, maxBytes, signal });
    return part;
  }
}

/** An attempt that adds this much is not counted as a retry. */
const PROGRESS_BYTES = 1024 * 1024;

/** Servers and proxies refuse longer ones. */
const MAX_URL_LENGTH = 16 * 1024;

function parseUrl(sent: string): URL {
  if (sent.length > MAX_URL_LENGTH)
    throw new WorkerError(
      'input.download_refused',
      `Expected a URL of at most ${MAX_URL_LENGTH} characters, got one of ${sent.length}`,
    );
  const url = URL.parse(sent.trim());
  if (url && ['http:', 'https:', 's3:'].includes(url.protocol)) return url;
  throw new WorkerError(
    'input.download_refused',
    url
      ? `URLs that begin with ${url.protocol}// are not fetched; http://, https:// and s3:// are`
      : 'Expected a URL that begins with https://, http:// or s3://',
  );
}
