/**
 * A share of each turn of the event loop. Hundreds of requests that arrive together would all be handled in one turn, and nothing
 * else would get on meanwhile: no job, no heartbeat, no health check. What is beyond the share waits for the next turn, in order.
 */
export class LoopShare {
  readonly #ms: number;
  readonly #waiting: (() => void)[] = [];
  /** On the clock of `performance`; undefined while nothing was done in this turn. */
  #endsAt: number | undefined;

  constructor(ms = SHARE_MS) {
    this.#ms = ms;
  }

  /** Does `work` now, or in one of the next turns. Resolves to what it returns; what follows then is not counted. */
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

/** Well below what a person or a heartbeat notices, and enough for some tens of requests. */
const SHARE_MS = 5;
