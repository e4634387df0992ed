/**
 * Limits how long requests may use each turn of the event loop. Without a limit, hundreds of requests that arrive together would
 * be handled in one turn, and jobs, heartbeats and health checks would stand still. Work beyond the limit waits for the next
 * turn, in order.
 */
export class LoopShare {
  readonly #ms: number;
  readonly #waiting: (() => void)[] = [];
  /** End of the share, by `performance.now()`; undefined before the first work of a turn. */
  #endsAt: number | undefined;

  constructor(ms = SHARE_MS) {
    this.#ms = ms;
  }

  /** Runs `work` now or in one of the next turns, and resolves to its result. */
  run<T>(work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#enter(() => {
        try {
          resolve(work());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  #enter(work: () => void): void {
    this.#begin();
    if (this.#waiting.length === 0 && this.#isLeft) work();
    else this.#waiting.push(work);
  }

  #begin(): void {
    if (this.#endsAt !== undefined) return;
    this.#endsAt = performance.now() + this.#ms;
    setImmediate(this.#nextTurn);
  }

  get #isLeft(): boolean {
    return this.#endsAt !== undefined && performance.now() < this.#endsAt;
  }

  readonly #nextTurn = (): void => {
    this.#endsAt = undefined;
    if (this.#waiting.length > 0) this.#begin();
    while (this.#waiting.length > 0 && this.#isLeft) this.#waiting.shift()?.();
  };
}

/** Enough for some tens of requests, and too short for a person or a heartbeat to notice. */
const SHARE_MS = 5;
