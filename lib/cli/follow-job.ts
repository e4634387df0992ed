import type { Clock } from '../clock.ts';
import { isWorkerError } from '../errors.ts';
import { statusOf, type Endpoint } from './endpoint.ts';
import { hasEnded, type JobView } from './job-view.ts';

export interface FollowOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Told each time something has changed. */
  readonly onChange: (job: JobView) => void;
  /** Told when the endpoint could not be asked, which may pass. */
  readonly onHiccup: (reason: string) => void;
}

/**
 * Asks for a job until it has ended, with growing pauses that shrink again when something changes. An endpoint that
 * does not answer for a while is asked on; after five minutes it is given up.
 * @throws WorkerError `endpoint.unreachable`, `endpoint.refused`, or the reason of the signal.
 */
export async function followJob(
  endpoint: Pick<Endpoint, 'status'>,
  job: JobView,
  { clock, signal, onChange, onHiccup }: FollowOptions,
): Promise<JobView> {
  let last = job;
  let answeredAt = clock.now();
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 1.4, LONGEST_PAUSE_MS)) {
    if (hasEnded(last)) return last;
    await clock.sleep(pauseMs, signal);
    try {
      const now = await unlessAborted(endpoint.status(last.jobId), signal);
      answeredAt = clock.now();
      if (isSame(now, last)) continue;
      pauseMs = FIRST_PAUSE_MS;
      onChange((last = now));
    } catch (error) {
      if (!mayPass(error) || clock.now() - answeredAt > GIVE_UP_MS) throw error;
      onHiccup(error.message);
    }
  }
}

/** Rejects with the signal's reason as soon as it aborts; nobody is interested in the answer then. */
function unlessAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort);
  return Promise.race([answer, promise]).finally(() => signal.removeEventListener('abort', abort));
}

function mayPass(error: unknown): error is Error {
  return isWorkerError(error, 'endpoint.unreachable') && !FINAL.has(statusOf(error) ?? 0);
}

function isSame(a: JobView, b: JobView): boolean {
  return a.status === b.status && JSON.stringify(a.output) === JSON.stringify(b.output);
}

/** Not let in, or the job is no longer known. */
const FINAL: ReadonlySet<number> = new Set([401, 403, 404]);
const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 5000;
const GIVE_UP_MS = 300_000;
