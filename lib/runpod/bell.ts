/** Wakes everybody who waits for something to change. Whoever wakes looks again: a ring carries no news. */
export class Bell {
  #next = Promise.withResolvers<undefined>();

  ring(): void {
    const { resolve } = this.#next;
    this.#next = Promise.withResolvers();
    resolve(undefined);
  }

  /** Resolves at the next ring. */
  rung(): Promise<undefined> {
    return this.#next.promise;
  }
}
