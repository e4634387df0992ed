import { systemClock, type Clock } from '../clock.ts';
import { describeError, errnoOf, isError, isWorkerError } from '../errors.ts';
import { NEVER_CONNECTED } from '../http/failure.ts';
import { Backoff, retry, RETRY_POLICIES } from '../http/retry.ts';
import type { JsonText } from '../json.ts';
import { hasEnded, statusOf, type Endpoint, type JobView } from './endpoint.ts';
import type { Screen } from './screen.ts';

/**
 * Submits a job. It is sent again only when the endpoint cannot have received it, because a job sent twice runs twice. A request
 * on its way is not aborted, not even by Ctrl-C: the answer has the id by which the job can be cancelled.
 */
export async function submitJob(
  endpoint: Endpoint,
  job: JsonText,
  { signal, ...wait }: { readonly signal: AbortSignal; readonly waitMs?: number },
): Promise<JobView> {
  const policy = RETRY_POLICIES.submitJob;
  const backoff = new Backoff(policy);
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted();
    try {
      return await endpoint.run(job, wait);
    } catch (error) {
      if (attempt > policy.retries || !neverArrived(error)) throw error;
      await systemClock.sleep(backoff.next(), signal);
    }
  }
}

function neverArrived(error: unknown): boolean {
  const code = isError(error) ? (errnoOf(error.cause) ?? '') : '';
  return NEVER_CONNECTED.has(code) || statusOf(error) === 429;
}

/**
 * Polls a job until it has ended. Pauses grow, and start small again after each change. An endpoint that does not answer is given
 * up after five minutes.
 * @throws WorkerError `endpoint.unreachable`, `endpoint.refused`, or the reason of the signal.
 */
export async function followJob(
  endpoint: Pick<Endpoint, 'status'>,
  job: JobView,
  {
    clock,
    signal,
    onChange,
    onHiccup,
  }: {
    readonly clock: Clock;
    readonly signal: AbortSignal;
    /** Called after each change. */
    readonly onChange: (job: JobView) => void;
    /** Called when a request has failed and will be repeated. */
    readonly onHiccup: (reason: string) => void;
  },
): Promise<JobView> {
  let last = job;
  let answeredAt = clock.now();
  for (let pollMs = FIRST_POLL_MS; ; pollMs = Math.min(pollMs * 1.4, MAX_POLL_MS)) {
    if (hasEnded(last)) return last;
    await clock.sleep(pollMs, signal);
    try {
      const now = await unlessAborted(endpoint.status(last.jobId), signal);
      answeredAt = clock.now();
      if (isSame(now, last)) continue;
      pollMs = FIRST_POLL_MS;
      onChange((last = now));
    } catch (error) {
      if (!isTransient(error) || clock.now() - answeredAt > GIVE_UP_MS) throw error;
      onHiccup(error.message);
    }
  }
}

/** Rejects as soon as the signal aborts, without waiting for the answer. */
function unlessAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort);
  return Promise.race([answer, promise]).finally(() => signal.removeEventListener('abort', abort));
}

function isTransient(error: unknown): error is Error {
  return isWorkerError(error, 'endpoint.unreachable') && !FINAL.has(statusOf(error) ?? 0);
}

function isSame(a: JobView, b: JobView): boolean {
  return a.status === b.status && JSON.stringify(a.output) === JSON.stringify(b.output);
}

/** Cancels a job and reports the outcome. Repeats failed requests, because a job that runs on costs money. */
export async function cancelJob(endpoint: Endpoint, jobId: string, screen: Screen): Promise<void> {
  try {
    const policy = RETRY_POLICIES.cancelJob;
    const { status } = await retry(() => endpoint.cancel(jobId), { policy, clock: systemClock });
    screen.note(`Job       ${jobId}   ${status}`);
  } catch (error) {
    screen.problem(`Job ${jobId} may still run: ${describeError(error)}`);
  }
}

/** The key is refused, or the job is unknown. */
const FINAL: ReadonlySet<number> = new Set([401, 403, 404]);
const FIRST_POLL_MS = 300;
const MAX_POLL_MS = 5000;
const GIVE_UP_MS = 300_000;
