import { systemClock } from '../clock.ts';
import { errnoOf, isError } from '../errors.ts';
import { NEVER_CONNECTED } from '../http/failure.ts';
import type { JsonText } from '../json.ts';
import { statusOf, type Endpoint } from './endpoint.ts';
import type { JobView } from './job-view.ts';

interface HandOver {
  readonly signal: AbortSignal;
  /** How long the endpoint may wait for the result in its answer. */
  readonly waitMs?: number;
}

/**
 * Again only when the endpoint cannot have got the job: a job sent twice is run twice. Once sent it is not let go of, not
 * even by Ctrl-C: the answer has the id it can be cancelled by.
 */
export async function handOver(
  endpoint: Endpoint,
  job: JsonText,
  { signal, ...wait }: HandOver,
): Promise<JobView> {
  for (let tries = 1; ; tries++) {
    signal.throwIfAborted();
    try {
      return await endpoint.run(job, wait);
    } catch (error) {
      if (tries === MOST_TRIES || !neverArrived(error)) throw error;
      await systemClock.sleep(PAUSE_MS * 2 ** tries, signal);
    }
  }
}

function neverArrived(error: unknown): boolean {
  const code = isError(error) ? (errnoOf(error.cause) ?? '') : '';
  return NEVER_CONNECTED.has(code) || statusOf(error) === 429;
}

const MOST_TRIES = 4;
const PAUSE_MS = 250;
