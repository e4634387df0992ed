import { WorkerError } from '../errors.ts';
import { connectionFailure } from '../http/failure.ts';
import { redactUrl } from '../http/redact.ts';

/** Trying again would not help: the caller has to name something else. */
export function refused(url: URL, why: string): WorkerError {
  return new WorkerError('input.download_refused', `[GET] ${redactUrl(url)}: ${why}`);
}

/** Trying again may help. */
export function failed(url: URL, why: string, options: FailureOptions = {}): WorkerError {
  return new WorkerError('input.download_failed', `[GET] ${redactUrl(url)}: ${why}`, options);
}

interface FailureOptions {
  readonly cause?: unknown;
  readonly retryAfterMs?: number | undefined;
}

/** A connection that was not made, or broke. */
export function unconnected(url: URL, error: unknown, when = ''): WorkerError {
  const { hostname: host } = url;
  const to = { host, purpose: 'download', reasons: REASONS } as const;
  const { reason, isTransient } = connectionFailure(error, to);
  return isTransient ? failed(url, reason + when, { cause: error }) : refused(url, reason);
}

const REASONS: Readonly<Record<string, string>> = {
  UND_ERR_BODY_TIMEOUT: 'the server stopped sending',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'the server sent another number of bytes than it said',
  Z_BUF_ERROR: 'the compressed answer ended early',
  Z_DATA_ERROR: 'the answer is not compressed as the server says',
};
