import type { Config } from '../config.ts';

/** What bounds a download; all times in milliseconds. */
export interface DownloadSettings {
  /** Of one file. */
  readonly maxBytes: number;
  /** For one file, with all tries. */
  readonly timeoutMs: number;
  /** Silence after which a try is given up. */
  readonly idleTimeoutMs: number;
  /** Further tries after one that brought nothing. */
  readonly retries: number;
  /** Before the second try; twice as long before each further one. */
  readonly retryDelayMs: number;
  /** Servers that need no public address, as `host:port`. */
  readonly allowPrivate: readonly string[];
}

export function downloadSettings(config: Config): DownloadSettings {
  return {
    maxBytes: config.DOWNLOAD_MAX_BYTES,
    timeoutMs: config.DOWNLOAD_TIMEOUT_S * 1000,
    idleTimeoutMs: config.DOWNLOAD_IDLE_TIMEOUT_S * 1000,
    retries: config.DOWNLOAD_RETRIES,
    retryDelayMs: 500,
    allowPrivate: config.DOWNLOAD_ALLOW_PRIVATE,
  };
}
