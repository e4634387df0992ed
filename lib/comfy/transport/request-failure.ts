import { constants } from 'node:os';
import type { Cancel, Clock } from '../../clock.ts';
import { describeError, errnoOf, WorkerError } from '../../errors.ts';
import { NEVER_CONNECTED } from '../../http/failure.ts';
import { retry, RETRY_POLICIES } from '../../http/retry.ts';

/**
 * How requests to ComfyUI fail, when they are given up, and when they are sent again. Clients match on the texts of
 * failed requests; their shapes come from Python's `requests` library.
 */

/** An answer with a status of 400 or more. */
export class StatusError extends WorkerError {
  readonly status: number;

  constructor({
    status,
    reason,
    url,
  }: {
    readonly status: number;
    readonly reason: string;
    readonly url: string;
  }) {
    const side = status < 500 ? 'Client' : 'Server';
    super('comfy.request_failed', `${status} ${side} Error: ${reason} for url: ${url}`);
    this.status = status;
  }
}

/** The error for a missing or incomplete answer. Its cause is the error of the socket; see {@link isTimeout}. */
export function connectionError(cause: unknown, method: string, url: string): WorkerError {
  return new WorkerError(
    'comfy.request_failed',
    `[${method}] ${url}: ${describeConnectionError(cause)}`,
    { cause },
  );
}

/** A refused or reset connection is worded like Python's `OSError`, because clients match on it. */
export function describeConnectionError(error: unknown): string {
  const code = errnoOf(error);
  if (code === 'ECONNREFUSED') return `[Errno ${constants.errno.ECONNREFUSED}] Connection refused`;
  if (code === 'ECONNRESET')
    return `[Errno ${constants.errno.ECONNRESET}] Connection reset by peer`;
  return isTimeout(error) ? `timed out (${describeError(error)})` : describeError(error);
}

/** Whether this error, or one of its causes, is a timeout. */
export function isTimeout(error: unknown): boolean {
  if (TIMEOUTS.has(errnoOf(error) ?? '')) return true;
  // Not `isError`: the one of `withTimeout` is a DOMException.
  if (typeof error !== 'object' || error === null) return false;
  const { name, cause } = error as { readonly name?: unknown; readonly cause?: unknown };
  return name === 'TimeoutError' || isTimeout(cause);
}

/** Whether no connection was made, so that the request has certainly not arrived. */
export function isNotConnected(error: unknown): boolean {
  const code = errnoOf(error) ?? '';
  return NEVER_CONNECTED.has(code) || code === 'UND_ERR_DESTROYED';
}

const TIMEOUTS = new Set([
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'ETIMEDOUT',
]);

const BROKEN_CONNECTION = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);

/** Sends an idempotent request again when its connection breaks, or when `send` throws the {@link StatusError} of a 5xx. */
export function retryRequest<T>(
  send: () => Promise<T>,
  { clock, signal }: { readonly clock: Clock; readonly signal?: AbortSignal | undefined },
): Promise<T> {
  return retry(send, {
    policy: RETRY_POLICIES.comfyRequest,
    clock,
    signal,
    isTransient: (error) =>
      (error instanceof StatusError && error.status >= 500) ||
      BROKEN_CONNECTION.has(errnoOf(error) ?? ''),
  });
}

export interface TimeLimit {
  readonly ms: number;
  /** The work, for the error message. */
  readonly what: string;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Gives `work` a signal that aborts after `ms`, or together with the caller's signal.
 * @throws WorkerError `comfy.request_failed` on timeout.
 */
export async function withTimeout<T>(
  { ms, what, clock, signal }: TimeLimit,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const limited = new AbortController();
  let timeout: DOMException | undefined;
  const passOn = () => limited.abort(signal?.reason);
  signal?.addEventListener('abort', passOn);
  const cancel = clock.after(ms, () => {
    timeout = new DOMException(`${what} was not finished within ${ms} ms`, 'TimeoutError');
    limited.abort(timeout);
  });
  try {
    return await work(limited.signal);
  } catch (error) {
    if (!timeout || limited.signal.reason !== timeout) throw error;
    throw new WorkerError('comfy.request_failed', timeout.message, { cause: timeout });
  } finally {
    cancel();
    signal?.removeEventListener('abort', passOn);
  }
}

/**
 * Gives `work` a signal that aborts `ms` after the caller's signal. For a request whose effect must be known before it
 * can be undone.
 */
export async function withGracePeriod<T>(
  {
    ms,
    clock,
    signal,
  }: { readonly ms: number; readonly clock: Clock; readonly signal: AbortSignal },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const delayed = new AbortController();
  let cancel: Cancel | undefined;
  const startTimer = () => {
    cancel = clock.after(ms, () => delayed.abort(signal.reason));
  };
  signal.addEventListener('abort', startTimer);
  try {
    return await work(delayed.signal);
  } finally {
    cancel?.();
    signal.removeEventListener('abort', startTimer);
  }
}
