import pRetry from 'p-retry';
import type { Clock } from '../clock.ts';

/** How often and how fast something is repeated. Delays double from one failure to the next, up to `maxMs`. */
export interface RetryPolicy {
  /** Attempts after the first one. `Infinity`: the caller bounds the time instead. */
  readonly retries: number;
  readonly firstMs: number;
  readonly maxMs: number;
  /** A delay is between half and all of its nominal length, so that many workers do not come back at the same moment. */
  readonly jitter: boolean;
}

/**
 * Every retry of the worker, except pings (heartbeat-thread.ts) and reconnecting the websocket (configured). A delay that the other side asks for (`Retry-After`) replaces a shorter one from here.
 */
export const RETRY_POLICIES = {
  /** Asking the platform for jobs failed. The floor of 200 ms means at most five requests a second to a platform in trouble. */
  takeFailed: { retries: Infinity, firstMs: 400, maxMs: 30_000, jitter: true },
  /** The platform answered "no job" at once instead of holding the request. */
  takeEmpty: { retries: Infinity, firstMs: 50, maxMs: 1000, jitter: true },
  /** A post failed. The first retry is quick: often only the kept-alive connection was dead. */
  postFailed: { retries: Infinity, firstMs: 200, maxMs: 30_000, jitter: true },
  /** Asking which jobs to stop failed. */
  stopsFailed: { retries: Infinity, firstMs: 2000, maxMs: 30_000, jitter: true },
  /** Storing a file outside of S3 failed; the S3 client retries by itself, as often. */
  upload: { retries: 3, firstMs: 500, maxMs: 4000, jitter: true },
  /** A download failed without progress. The configuration sets the number of retries. */
  download: { retries: 4, firstMs: 500, maxMs: 10_000, jitter: true },
  /** A connection of a model's download failed without progress. Models are large, and sites rest for a while. */
  modelDownload: { retries: 8, firstMs: 500, maxMs: 20_000, jitter: true },
  /** A request to ComfyUI that may be sent twice was answered 5xx, or its connection broke. Uploads are such requests. */
  comfyRequest: { retries: 6, firstMs: 20, maxMs: 1000, jitter: false },
  /** A prompt that has ended is not in ComfyUI's history yet. */
  comfyHistory: { retries: Infinity, firstMs: 10, maxMs: 1000, jitter: false },
  /** The history of a prompt that has ended could not be read. */
  comfyHistoryFailed: { retries: 3, firstMs: 250, maxMs: 1000, jitter: false },
  /** A prompt is neither in ComfyUI's queue nor in its history, which may be about to change. */
  comfyLookup: { retries: Infinity, firstMs: 50, maxMs: 2000, jitter: false },
  /** A prompt was cancelled, but is still there. */
  comfyCancel: { retries: Infinity, firstMs: 10, maxMs: 500, jitter: false },
  /** ComfyUI died, and the worker starts it again. */
  comfyRestart: { retries: Infinity, firstMs: 250, maxMs: 30_000, jitter: false },
  /** A webhook was not acknowledged with 200. RunPod sends it three times, ten seconds apart. */
  webhook: { retries: 2, firstMs: 10_000, maxMs: 10_000, jitter: false },
  /** An endpoint did not get the job of `submit`. */
  submitJob: { retries: 3, firstMs: 500, maxMs: 2000, jitter: false },
  /** An endpoint did not answer when `submit` cancelled its job. */
  cancelJob: { retries: 3, firstMs: 250, maxMs: 250, jitter: false },
  /** A command could not fetch a file of a result. */
  fetchResult: { retries: 3, firstMs: 300, maxMs: 1200, jitter: false },
} as const satisfies Record<string, RetryPolicy>;

/** The delays of one policy, for loops that {@link retry} does not fit. */
export class Backoff {
  readonly #policy: RetryPolicy;
  #failures = 0;

  constructor(policy: RetryPolicy) {
    this.#policy = policy;
  }

  /** Milliseconds to wait after one more failure. */
  next(): number {
    const { firstMs, maxMs, jitter } = this.#policy;
    const nominal = Math.min(maxMs, firstMs * 2 ** this.#failures++);
    return jitter ? Math.ceil(nominal * (0.5 + Math.random() / 2)) : nominal;
  }

  /** After a success the next delay is the first one again. */
  reset(): void {
    this.#failures = 0;
  }
}

interface RetryOptions {
  readonly policy: RetryPolicy;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  /** Whether the same attempt may succeed later. All errors are retried when left out. */
  readonly isTransient?: (error: unknown) => boolean;
  /** The delay the other side asked for, in milliseconds, if it asked for one. */
  readonly retryAfterMs?: (error: unknown) => number | undefined;
  /** Whether the failed attempt got further than all before it. Then it is not counted, and the next one follows without a delay. */
  readonly hasProgressed?: () => boolean;
  /** Called before each delay, and awaited. */
  readonly onRetry?: (failure: {
    readonly error: unknown;
    /** Counts from 1. */
    readonly attempt: number;
    readonly delayMs: number;
  }) => Promise<void> | void;
}

/**
 * Runs `attempt` until it succeeds. Delays go through `clock`, so a test can move time by hand.
 * @throws the last error when retries are used up or it is not transient; the signal's reason when aborted.
 */
export async function retry<T>(
  attempt: (number: number) => Promise<T>,
  { policy, clock, signal, isTransient, retryAfterMs, hasProgressed, onRetry }: RetryOptions,
): Promise<T> {
  const backoff = new Backoff(policy);
  let isCounted = true;
  return await pRetry(attempt, {
    retries: policy.retries,
    minTimeout: 0, // the delay is spent in onFailedAttempt
    maxTimeout: 0,
    ...(signal && { signal }),
    shouldConsumeRetry: () => (isCounted = !hasProgressed?.()),
    shouldRetry: ({ error }) => isTransient?.(error) ?? true,
    onFailedAttempt: async ({ error, attemptNumber, retriesLeft }) => {
      if (retriesLeft <= 0 || isTransient?.(error) === false) return;
      const delayMs = Math.max(isCounted ? backoff.next() : 0, retryAfterMs?.(error) ?? 0);
      await onRetry?.({ error, attempt: attemptNumber, delayMs });
      await clock.sleep(delayMs, signal);
    },
  });
}

/**
 * `Retry-After` in milliseconds; the header has seconds or an HTTP date. At most `maxMs` (30 s by default). A date in the
 * past is 0; undefined without a header that can be read.
 */
export function parseRetryAfter(
  header: string | readonly string[] | undefined,
  { maxMs = 30_000, nowMs = Date.now() }: { readonly maxMs?: number; readonly nowMs?: number } = {},
): number | undefined {
  const text = (typeof header === 'string' ? header : header?.[0])?.trim();
  if (!text) return undefined;
  const ms = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), maxMs);
}
