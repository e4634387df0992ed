import type { JobResult } from '../queues/queue.ts';

/** When the platform is asked to replace this worker by a fresh one. Empty: never, unless a result asks for it. */
export interface RefreshPolicy {
  /** After this many jobs. */
  readonly afterJobs?: number;
  /** After a job that failed. */
  readonly afterError?: boolean;
}

interface RefreshOptions {
  readonly policy: RefreshPolicy;
  /** Whether the results of handlers may ask for a fresh worker. */
  readonly isReplaceable: boolean;
}

/**
 * Decides when this worker is to be replaced. The platform ends the worker when it reads the request, so only the last
 * result may ask: then no other job is held, and no other result is on its way.
 */
export class Refresh {
  readonly #options: RefreshOptions;
  #accepted = 0;
  #isDue = false;

  constructor(options: RefreshOptions) {
    this.#options = options;
  }

  /** Jobs that this worker may still take. */
  get jobsLeft(): number {
    const { afterJobs = Infinity } = this.#options.policy;
    return Math.max(0, afterJobs - this.#accepted);
  }

  onAccepted(): void {
    this.#accepted++;
  }

  /** Whether the worker is to be replaced after this result. Once due, it stays due. */
  isDueAfter({ error, freshWorker }: JobResult): boolean {
    const { policy, isReplaceable } = this.#options;
    const isAskedFor = freshWorker === true && isReplaceable;
    const hasFailed = error !== undefined && policy.afterError === true;
    this.#isDue ||= isAskedFor || hasFailed || this.jobsLeft === 0;
    return this.#isDue;
  }
}
