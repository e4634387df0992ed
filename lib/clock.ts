/** Time as the parts see it, so that a test can move it by hand. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `ring` once, `ms` from now, unless cancelled before. `ring` must not throw. */
  after(ms: number, ring: () => void): Cancel;
  /** Resolves after `ms`; rejects with the signal's reason when that comes first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Takes a timer back; does nothing when it has rung. */
export type Cancel = () => void;

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, ring) {
    const timer = setTimeout(ring, Math.min(Math.max(ms, 0), LONGEST_TIMER_MS));
    return () => clearTimeout(timer);
  },
  sleep: (ms, signal) => sleepOn(systemClock, ms, signal),
};

/** 24 days. A longer one would ring at once (Node keeps delays in 32 bits). */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A clock that stands still until told to move. */
export class ManualClock implements Clock {
  #now: number;
  readonly #timers = new Set<{ readonly until: number; readonly ring: () => void }>();

  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  /** How many timers wait for the clock to move. */
  get sleepers(): number {
    return this.#timers.size;
  }

  /** A moment that has come already needs no move of the clock. */
  after(ms: number, ring: () => void): Cancel {
    if (ms <= 0) {
      const turn = setImmediate(ring);
      return () => clearImmediate(turn);
    }
    const timer = { until: this.#now + ms, ring };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal);
  }

  /** Moves time on and wakes those whose moment has come, in order. */
  advance(ms: number): void {
    this.#now += ms;
    const due = [...this.#timers].filter((timer) => timer.until <= this.#now);
    for (const timer of due.sort((a, b) => a.until - b.until)) {
      if (this.#timers.delete(timer)) timer.ring();
    }
  }
}

/** A timer as a promise: {@link Clock.sleep} of any clock. */
export function sleepOn(
  clock: Pick<Clock, 'after'>,
  ms: number,
  signal?: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener('abort', abort);
      resolve();
    });
    function abort(): void {
      cancel();
      reject(signal?.reason);
    }
    signal?.addEventListener('abort', abort, { once: true });
  });
}
