import type { Clock } from '../clock.ts';
import { isWorkerError, type WorkerError } from '../errors.ts';
import { Backoff, RETRY_POLICIES } from '../http/retry.ts';
import type { EncodedResult, JobQueue } from '../queues/queue.ts';

export interface DeliveryOptions {
  readonly signal: AbortSignal;
  readonly queue: Pick<JobQueue, 'post'>;
  readonly clock: Clock;
  /** How long failed posts are repeated. */
  readonly timeoutMs: number;
  /** Told of every failure that will be repeated, and awaited before the pause. */
  readonly onFailure?: (failure: Failure) => Promise<void> | void;
}

export interface Failure {
  readonly error: WorkerError;
  readonly attempt: number;
  readonly pauseMs: number;
}

/**
 * Posts until the platform has it, with growing pauses, or the longer one the platform asks for.
 * @returns how many attempts it took.
 * @throws the last WorkerError when the time is over or no repeat will help, or the reason of `signal`.
 */
export async function postUntilAccepted(
  jobId: string,
  result: EncodedResult,
  { queue, clock, timeoutMs, onFailure, signal }: DeliveryOptions,
): Promise<number> {
  const backoff = new Backoff(RETRY_POLICIES.postFailed);
  const giveUpAt = clock.now() + timeoutMs;
  for (let attempt = 1; ; attempt++) {
    const error = await failureOf(queue.post(jobId, { kind: 'result', result }, { signal }));
    if (!error) return attempt;
    const pauseMs = Math.max(backoff.next(), error.retryAfterMs ?? 0);
    if (clock.now() + pauseMs > giveUpAt) throw error;
    await onFailure?.({ error, attempt, pauseMs });
    await clock.sleep(pauseMs, signal);
  }
}

/** The error when repeating may help, undefined when there was none. */
async function failureOf(posting: Promise<void>): Promise<WorkerError | undefined> {
  try {
    await posting;
    return undefined;
  } catch (error) {
    if (isWorkerError(error, 'platform.post_failed')) return error;
    throw error;
  }
}
