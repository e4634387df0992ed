import { WorkerError } from '../errors.ts';
import { connectionFailure } from '../http/failure.ts';
import { redactUrl } from '../http/redact.ts';

/** Another attempt would not help: the caller has to send something else. */
export function refused(url: URL, why: string): WorkerError {
  return new WorkerError('input.download_refused', `[GET] ${redactUrl(url)}: ${why}`);
}

/** Another attempt may help. `retryAfterMs` is the delay the server asked for. */
export function failed(
  url: URL,
  why: string,
  options: { readonly cause?: unknown; readonly retryAfterMs?: number | undefined } = {},
): WorkerError {
  return new WorkerError('input.download_failed', `[GET] ${redactUrl(url)}: ${why}`, options);
}

/** A connection that was not made, or broke. `when` is appended to the reason. */
export function disconnected(url: URL, error: unknown, when = ''): WorkerError {
  const { reason, isTransient } = connectionFailure(error, {
    host: url.hostname,
    purpose: 'download',
    reasons: REASONS,
  });
  return isTransient ? failed(url, reason + when, { cause: error }) : refused(url, reason);
}

const REASONS: Readonly<Record<string, string>> = {
  UND_ERR_BODY_TIMEOUT: 'the server stopped sending',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'the server sent another number of bytes than it said',
  Z_BUF_ERROR: 'the compressed answer ended early',
  Z_DATA_ERROR: 'the answer is not compressed as the server says',
};
