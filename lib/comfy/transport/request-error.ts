import { constants } from 'node:os';
import { describeError, errnoOf, isError, WorkerError } from '../../errors.ts';

/** Texts of failed requests. Clients know the shape of the first from Python's `requests`. */

/** An answer with a status of 400 or more. */
export function statusError({ status, reason, url }: AnsweredWith): WorkerError {
  const side = status < 500 ? 'Client' : 'Server';
  return new WorkerError(
    'comfy.request_failed',
    `${status} ${side} Error: ${reason} for url: ${url}`,
  );
}

interface AnsweredWith {
  readonly status: number;
  readonly reason: string;
  readonly url: string;
}

/** No answer, or half of one. The cause is the error of the socket; see {@link isTimeout}. */
export function connectionError(cause: unknown, method: string, url: string): WorkerError {
  return new WorkerError(
    'comfy.request_failed',
    `[${method}] ${url}: ${describeConnectionError(cause)}`,
    { cause },
  );
}

/** Whether ComfyUI, somewhere along the causes, did not answer in time. */
export function isTimeout(error: unknown): boolean {
  if (TIMEOUTS.has(errnoOf(error) ?? '')) return true;
  return isError(error) && (error.name === 'TimeoutError' || isTimeout(error.cause));
}

/** Whether nobody listens there: what was to be sent has certainly not arrived. */
export function isRefused(error: unknown): boolean {
  return NOT_CONNECTED.has(errnoOf(error) ?? '');
}

/** Whether a connection broke under a request; a new one may well work. */
export function isBrokenConnection(error: unknown): boolean {
  return ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'].includes(errnoOf(error) ?? '');
}

const NOT_CONNECTED = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_DESTROYED',
]);

const TIMEOUTS = new Set([
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'ETIMEDOUT',
]);

/** As Python's sockets say it, for the two that clients know. */
export function describeConnectionError(error: unknown): string {
  const code = errnoOf(error);
  if (code === 'ECONNREFUSED') return `[Errno ${constants.errno.ECONNREFUSED}] Connection refused`;
  if (code === 'ECONNRESET')
    return `[Errno ${constants.errno.ECONNRESET}] Connection reset by peer`;
  return isTimeout(error) ? `timed out (${describeError(error)})` : describeError(error);
}
