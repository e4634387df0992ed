import { CONNECTION_REASONS } from '../http/connection-reasons.ts';
import { STATUS_CODES } from 'node:http';
import type { Readable } from 'node:stream';
import pRetry, { type RetryContext } from 'p-retry';
import type { Dispatcher, FormData } from 'undici';
import { systemClock } from '../clock.ts';
import { describeError, errnoOf, isWorkerError, WorkerError } from '../errors.ts';
import { shownUrl } from '../http/shown-url.ts';
import { NOT_PUBLIC } from './not-public.ts';

/** One upload over plain HTTP. */
export interface Sending {
  readonly method: 'PUT' | 'POST';
  /** May carry a signature in its query: it is not shown. */
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** What is sent, made anew for every try: what was read once is gone. */
  readonly body: () => Readable | FormData;
}

export interface SendOptions {
  /** Connects to nothing it should not. */
  readonly agent: Dispatcher;
  readonly signal: AbortSignal;
  /** Before the second try; twice as long before each further one. */
  readonly retryDelayMs: number;
  /** How long a server may be silent before a try is given up. */
  readonly silenceMs: number;
}

/**
 * Sends a file, again where that may help. Redirects are not followed: what was signed is good for one address.
 * @throws WorkerError `storage.upload_failed`; the signal's reason when it is aborted.
 */
export async function send(sending: Sending, options: SendOptions): Promise<void> {
  let tries = 0;
  const attempt = (number: number) => {
    tries = number;
    return sendOnce(sending, options);
  };
  try {
    await pRetry(attempt, {
      retries: RETRIES,
      minTimeout: options.retryDelayMs,
      randomize: true,
      signal: options.signal,
      shouldRetry: ({ error }) => error instanceof Failure && error.mayPass,
      onFailedAttempt: (context) => waitAsAsked(context, options.signal),
    });
  } catch (error) {
    options.signal.throwIfAborted();
    throw uploadFailed(sending, error, tries);
  }
}

async function sendOnce(
  { method, url, headers, body }: Sending,
  { agent, signal, silenceMs }: SendOptions,
): Promise<void> {
  try {
    const answer = await agent.request({
      method,
      origin: url.origin,
      path: url.pathname + url.search,
      headers: { ...headers },
      body: body(),
      headersTimeout: silenceMs,
      bodyTimeout: silenceMs,
      signal,
    });
    await judge(answer);
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof Failure ? error : connectionFailure(error);
  }
}

/** One try that came to nothing. */
class Failure extends Error {
  readonly mayPass: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(why: string, mayPass: boolean, retryAfterMs?: number) {
    super(why);
    this.mayPass = mayPass;
    this.retryAfterMs = retryAfterMs;
  }
}

async function judge({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<void> {
  const text = await headOf(body);
  if (statusCode >= 200 && statusCode < 300) return;
  const code = /<Code>(\w{1,60})<\/Code>/.exec(text)?.[1];
  const why = `${statusCode} ${STATUS_CODES[statusCode] ?? ''}${code === undefined ? '' : ` (${code})`}`;
  const mayPass = statusCode >= 500 || WORTH_ANOTHER_TRY.has(statusCode);
  throw new Failure(why.trim(), mayPass, askedToWait(headers['retry-after']));
}

const WORTH_ANOTHER_TRY: ReadonlySet<number> = new Set([408, 425, 429]);

/** Enough of an answer to find the code of a store in; the rest is not waited for. */
async function headOf(body: Readable): Promise<string> {
  let text = '';
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      text += chunk.toString('latin1');
      if (text.length > ANSWER_LENGTH) break;
    }
  } catch {
    // The status has come, and says enough.
  }
  return text;
}

function connectionFailure(error: unknown): Failure {
  const errno = errnoOf(error) ?? '';
  if (errno === 'EPRIVATE') return new Failure(`the host is ${NOT_PUBLIC}`, false);
  if (errno === 'ENOTFOUND') return new Failure('there is no host of that name', false);
  const why = REASONS[errno] ?? `the connection failed (${errno || describeError(error)})`;
  return new Failure(why, errno !== 'UND_ERR_INVALID_ARG');
}

const REASONS: Readonly<Record<string, string>> = {
  ...CONNECTION_REASONS,
  UND_ERR_BODY_TIMEOUT: 'the server did not take the file in time',
};

function askedToWait(header: string | string[] | undefined): number | undefined {
  const seconds = Number(header);
  return seconds > 0 ? Math.min(seconds, LONGEST_WAIT_S) * 1000 : undefined;
}

async function waitAsAsked({ error, retriesLeft }: RetryContext, signal: AbortSignal) {
  const waitMs = error instanceof Failure && error.mayPass ? error.retryAfterMs : undefined;
  if (waitMs !== undefined && retriesLeft > 0) await systemClock.sleep(waitMs, signal);
}

function uploadFailed({ method, url }: Sending, error: unknown, tries: number): WorkerError {
  if (isWorkerError(error)) return error;
  const after = tries > 1 ? `, after ${tries} tries` : '';
  const text = `[${method}] ${shownUrl(url)}: ${describeError(error)}${after}`;
  return new WorkerError('storage.upload_failed', text);
}

/** As for buckets: one try and three more. */
const RETRIES = 3;
const LONGEST_WAIT_S = 30;
const ANSWER_LENGTH = 4096;
