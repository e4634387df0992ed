/** The source of time for everything that waits. Tests pass a clock that they move by hand. */
export interface Clock {
  /**
   * Milliseconds since some moment, for ages and deadlines. Setting the machine's clock does not change it; a machine that
   * wakes from a snapshot may have its clock set by a day.
   */
  now(): number;
  /** Milliseconds since the epoch by the machine's clock, which may be wrong or be set at any time. */
  wallTime(): number;
  /** Calls `callback` once, `ms` from now, unless cancelled before. `callback` must not throw. */
  after(ms: number, callback: () => void): Cancel;
  /** Resolves after `ms`; rejects with the signal's reason when that comes first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Cancels a timer; does nothing after it has fired. */
export type Cancel = () => void;

export const systemClock: Clock = {
  now: () => performance.now(),
  wallTime: () => Date.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(ms, 0), LONGEST_TIMER_MS));
    return () => clearTimeout(timer);
  },
  sleep: (ms, signal) => sleepOn(systemClock, ms, signal),
};

/** 24 days. Node keeps delays in 32 bits, so a longer timer would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A clock for tests: it stands still until it is moved. */
export class ManualClock implements Clock {
  #now: number;
  #setBy = 0;
  readonly #timers = new Set<{ readonly until: number; readonly callback: () => void }>();

  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  wallTime(): number {
    return this.#now + this.#setBy;
  }

  /** Sets the time of day forward, or back, without time passing. */
  setBy(ms: number): void {
    this.#setBy += ms;
  }

  /** Number of timers that wait for the clock to move. */
  get sleepers(): number {
    return this.#timers.size;
  }

  /** A timer of 0 ms or less fires without a move of the clock. */
  after(ms: number, callback: () => void): Cancel {
    if (ms <= 0) {
      const turn = setImmediate(callback);
      return () => clearImmediate(turn);
    }
    const timer = { until: this.#now + ms, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal);
  }

  /** Moves the clock forward and fires the timers that are due, in order. */
  advance(ms: number): void {
    this.#now += ms;
    const due = [...this.#timers].filter((timer) => timer.until <= this.#now);
    for (const timer of due.sort((a, b) => a.until - b.until)) {
      if (this.#timers.delete(timer)) timer.callback();
    }
  }
}

/** Implements {@link Clock.sleep} with a clock's `after`. */
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
