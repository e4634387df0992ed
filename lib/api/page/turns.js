/** Lets a few tasks run at a time; the others wait in line. */
export class Turns {
  #free;
  /** @type {(() => void)[]} */
  #line = [];

  /** @param {number} count */
  constructor(count) {
    this.#free = count;
  }

  /**
   * @template T
   * @param {() => Promise<T>} task
   * @param {AbortSignal} signal leaves the line; a task that runs has to listen itself
   * @returns {Promise<T>}
   */
  async take(task, signal) {
    await this.#turn(signal);
    try {
      return await task();
    } finally {
      this.#free++;
      this.#line.shift()?.();
    }
  }

  /** @param {AbortSignal} signal */
  async #turn(signal) {
    while (this.#free === 0) {
      const { promise, resolve, reject } = Promise.withResolvers();
      const next = () => resolve(undefined);
      const leave = () => reject(signal.reason);
      this.#line.push(next);
      signal.addEventListener('abort', leave, { once: true });
      await promise.finally(() => {
        signal.removeEventListener('abort', leave);
        this.#line = this.#line.filter((waiting) => waiting !== next);
      });
    }
    if (signal.aborted) this.#line.shift()?.();
    signal.throwIfAborted();
    this.#free--;
  }
}
