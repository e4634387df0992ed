import { STATUS_CODES } from 'node:http';
import type { Readable } from 'node:stream';
import { describeError, errnoOf, isError } from '../errors.ts';
import { limited } from './answer-limit.ts';
import { NOT_PUBLIC } from './public-address.ts';
import { parseRetryAfter } from './retry.ts';

/** Failed HTTP requests to servers that callers name: what to tell people, and whether another attempt may succeed. */
export interface HttpFailure {
  readonly reason: string;
  readonly isTransient: boolean;
  /** The delay the server asked for. */
  readonly retryAfterMs?: number | undefined;
}

/**
 * A connection that was not made, or broke. Nothing is told of what a name resolves to within the worker's network.
 * @param reasons texts by error code of Node or undici, beside the common ones.
 */
export function connectionFailure(
  error: unknown,
  {
    host,
    purpose,
    reasons = {},
  }: {
    readonly host: string;
    readonly purpose: keyof typeof NOT_PUBLIC;
    readonly reasons?: Readonly<Record<string, string>>;
  },
): HttpFailure {
  const code = errnoOf(error) ?? '';
  if (code === 'EPRIVATE')
    return { reason: `the host is ${NOT_PUBLIC[purpose]}`, isTransient: false };
  if (code === 'ENOTFOUND')
    return { reason: `there is no host called ${host}`, isTransient: false };
  if (code === 'EANSWER') return { reason: shortMessage(error), isTransient: false };
  const known = reasons[code] ?? CONNECTION_REASONS[code];
  return {
    reason: known ?? `the connection failed (${shortReason(error)})`,
    isTransient: code !== 'UND_ERR_INVALID_ARG',
  };
}

/** The code of a failed connection; without one, the message. Errors of `fetch` say only that it failed: their cause has the reason. */
export function shortReason(error: unknown): string {
  const cause = isError(error) && error.cause !== undefined ? error.cause : error;
  return errnoOf(cause) ?? describeError(cause);
}

/** Errors of `fetch` say only that it failed: their cause has the reason. */
function shortMessage(error: unknown): string {
  return describeError(isError(error) && error.cause !== undefined ? error.cause : error);
}

const CONNECTION_REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was cut',
  EPIPE: 'the connection was cut',
  UND_ERR_SOCKET: 'the connection was cut',
  UND_ERR_CONNECT_TIMEOUT: 'the host did not take the connection in time',
  UND_ERR_HEADERS_TIMEOUT: 'the server did not answer in time',
  EAI_AGAIN: 'the name of the host could not be resolved just now',
};

/** Error codes that mean the server was never reached: whatever was to be sent has not arrived. */
export const NEVER_CONNECTED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** An answer as undici gives it. */
interface ErrorAnswer {
  readonly statusCode: number;
  readonly statusText?: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Readable;
}

/** An answer with an error status: `404 Not Found (NoSuchKey)`, where the code is the one object stores give in their XML. */
export async function answerFailure(answer: ErrorAnswer): Promise<HttpFailure> {
  const { statusCode, statusText, headers, body } = answer;
  const text = await readStart(body);
  const code = /<Code>(\w{1,60})<\/Code>/.exec(text)?.[1];
  const phrase = statusText === '' ? undefined : statusText; // HTTP/2 has none
  const status = `${statusCode} ${phrase ?? STATUS_CODES[statusCode] ?? ''}`.trim();
  return {
    reason: code === undefined ? status : `${status} (${code})`,
    isTransient: statusCode >= 500 || TRANSIENT_STATUS.has(statusCode),
    retryAfterMs: parseRetryAfter(headers['retry-after']),
  };
}

/** Timeout, too early, too many requests. */
const TRANSIENT_STATUS: ReadonlySet<number> = new Set([408, 425, 429]);

/**
 * The first `maxBytes` of an error body (4 KiB by default). A body that breaks off gives what has arrived; the rest of a
 * longer one is not waited for, and its connection is closed.
 */
export async function readStart(body: Readable, maxBytes = 4096): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    const limit = { maxBytes: Infinity };
    for await (const chunk of limited(body as AsyncIterable<Buffer>, limit)) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= maxBytes) break;
    }
  } catch {
    // The status has arrived and says enough.
  }
  return Buffer.concat(chunks).subarray(0, maxBytes).toString();
}
