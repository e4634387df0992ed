import type { Clock } from '../clock.ts';
import { describeError, isWorkerError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { Backoff, RETRY_POLICIES } from '../http/retry.ts';
import { pause } from '../waiting.ts';
import type { JobQueue, Taken } from '../queues/queue.ts';

export interface TakeLoopOptions {
  readonly queue: Pick<JobQueue, 'take'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Waits until there is room, and says for how many jobs; 0 ends the loop. */
  readonly room: () => Promise<number>;
  readonly isBusy: () => boolean;
  /** Whether something new came of it. */
  readonly accept: (taken: Taken) => boolean;
  /** Cuts pauses short. */
  readonly stopping: AbortSignal;
  /** Ends the open poll. */
  readonly polling: AbortSignal;
}

/**
 * Takes jobs as long as there is room. There is no pause on the way of a job: the next poll begins the moment there is room, and
 * after a poll that the platform has held. Pauses are for polls that failed, or were answered at once with nothing.
 */
export async function takeJobs(options: TakeLoopOptions): Promise<void> {
  const { clock, room, stopping } = options;
  const pace = new Pace(options);
  for (let limit = await room(); limit > 0; limit = await room()) {
    await pause(await pace.take(limit), { clock, signal: stopping });
  }
}

class Pace {
  readonly #options: TakeLoopOptions;
  readonly #failed = new Backoff(RETRY_POLICIES.takeFailed);
  readonly #empty = new Backoff(RETRY_POLICIES.takeEmpty);

  constructor(options: TakeLoopOptions) {
    this.#options = options;
  }

  /** Polls once. Returns how long to pause. */
  async take(limit: number): Promise<number> {
    const { queue, clock, accept, isBusy, polling } = this.#options;
    const began = clock.now();
    try {
      const taken = await queue.take({ limit, busy: isBusy(), signal: polling });
      this.#failed.reset();
      const fresh = taken.filter(accept).length;
      return fresh > 0 ? this.#straightOn() : this.#afterNothing(clock.now() - began);
    } catch (error) {
      return polling.aborted ? 0 : this.#afterFailure(error);
    }
  }

  #straightOn(): number {
    this.#empty.reset();
    return 0;
  }

  #afterNothing(heldMs: number): number {
    return heldMs >= HELD_MS ? this.#straightOn() : this.#empty.next();
  }

  #afterFailure(error: unknown): number {
    const retryAfterMs = isWorkerError(error) ? error.retryAfterMs : undefined;
    const pauseMs = Math.max(this.#failed.next(), retryAfterMs ?? 0);
    this.#options.log.warn({ reason: describeError(error), pauseMs }, 'Taking jobs failed');
    return pauseMs;
  }
}

/** A poll that took this long was held, and asking again at once is what the platform expects. */
const HELD_MS = 250;
