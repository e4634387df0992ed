/** How long to pause after the first failure in a row, and at most. */
export interface BackoffPolicy {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Every growing pause of the worker. A pause is between half and all of what is written here. */
export const PAUSES = {
  /** Asking for jobs failed. Never less than 200 ms: a platform in trouble is asked at most five times a second. */
  takeFailed: { firstMs: 400, maxMs: 30_000 },
  /** The platform answered "no job" at once instead of holding the request. */
  takeEmpty: { firstMs: 50, maxMs: 1000 },
  /** A post failed. The first repeat is quick: often only the kept-alive connection was dead. */
  postFailed: { firstMs: 200, maxMs: 30_000 },
  /** Asking which jobs to stop failed. */
  stopsFailed: { firstMs: 2000, maxMs: 30_000 },
} as const satisfies Record<string, BackoffPolicy>;

/** Pauses that double from failure to failure, with jitter, so that many workers do not come back at the same moment. */
export class Backoff {
  readonly #policy: BackoffPolicy;
  #failures = 0;

  constructor(policy: BackoffPolicy) {
    this.#policy = policy;
  }

  /** Milliseconds to pause now. */
  next(): number {
    const whole = Math.min(this.#policy.maxMs, this.#policy.firstMs * 2 ** this.#failures++);
    return Math.ceil(whole * (0.5 + Math.random() / 2));
  }

  reset(): void {
    this.#failures = 0;
  }
}
