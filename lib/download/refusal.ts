import { CONNECTION_REASONS } from '../http/connection-reasons.ts';
import { describeError, errnoOf, WorkerError } from '../errors.ts';
import { shownUrl } from '../http/shown-url.ts';

/** Trying again would not help: the caller has to name something else. */
export function refused(url: URL, why: string): WorkerError {
  return new WorkerError('input.download_refused', `[GET] ${shownUrl(url)}: ${why}`);
}

/** Trying again may help. */
export function failed(url: URL, why: string, options: FailureOptions = {}): WorkerError {
  return new WorkerError('input.download_failed', `[GET] ${shownUrl(url)}: ${why}`, options);
}

interface FailureOptions {
  readonly cause?: unknown;
  readonly retryAfterMs?: number | undefined;
}

/** A connection that was not made, or broke. Nothing is told of what a name resolves to within the worker's network. */
export function connectionFailure(url: URL, error: unknown, when = ''): WorkerError {
  const errno = errnoOf(error) ?? '';
  if (errno === 'EPRIVATE') return refused(url, NOT_PUBLIC);
  if (errno === 'ENOTFOUND') return refused(url, `there is no host called ${url.hostname}`);
  const why = REASONS[errno] ?? `the connection failed (${errno || describeError(error)})`;
  return failed(url, why + when, { cause: error });
}

const NOT_PUBLIC =
  'the host is not on the public internet, and only public addresses are fetched from; the operator can allow a server with DOWNLOAD_ALLOW_PRIVATE';

const REASONS: Readonly<Record<string, string>> = {
  ...CONNECTION_REASONS,
  UND_ERR_BODY_TIMEOUT: 'the server stopped sending',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'the server sent another number of bytes than it said',
  Z_BUF_ERROR: 'the compressed answer ended early',
  Z_DATA_ERROR: 'the answer is not compressed as the server says',
};
