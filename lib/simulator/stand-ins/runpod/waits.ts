/** Lets tests wait for a condition, with a timeout. Conditions are checked again after every event. */
export class Waits {
  readonly #waitMs: number;
  readonly #looks = new Set<() => void>();
  readonly #ends = new Set<(reason: Error) => void>();

  constructor(waitMs: number) {
    this.#waitMs = waitMs;
  }

  /** Checks all pending conditions. Call it after every event. */
  changed(): void {
    for (const look of this.#looks) look();
  }

  /** The first value `look` returns, now or after a later event. Rejects after the timeout; `what` names the condition. */
  until<T>(what: string, look: () => T | undefined): Promise<T> {
    const found = Promise.withResolvers<T>();
    const tryAgain = () => {
      const value = look();
      if (value !== undefined) found.resolve(value);
    };
    this.#looks.add(tryAgain);
    const bounded = this.bounded(what, found.promise);
    void bounded.catch(() => undefined).finally(() => this.#looks.delete(tryAgain));
    tryAgain();
    return bounded;
  }

  /** The same promise; it rejects after the timeout, or when the stand-in is closed. */
  bounded<T>(what: string, promise: Promise<T>): Promise<T> {
    const { promise: given, resolve, reject } = Promise.withResolvers<T>();
    const late = () => reject(new Error(`${what} did not happen within ${this.#waitMs} ms`));
    const timer = setTimeout(late, this.#waitMs);
    this.#ends.add(reject);
    promise.then(resolve, reject);
    const done = () => {
      clearTimeout(timer);
      this.#ends.delete(reject);
    };
    given.then(done, done);
    return given;
  }

  /** Rejects all pending waits. */
  end(): void {
    const reason = new Error('The simulated platform was closed during a wait');
    for (const reject of this.#ends) reject(reason);
    this.#looks.clear();
  }
}
