/** How often the turns of an event loop are counted, and looked at, for a given patience. */
export function lookIntervalMs(stuckMs: number): number {
  return Math.min(1000, stuckMs / 4);
}

/**
 * Watches from another thread whether an event loop still turns. Silence is counted in looks, not in time: a process
 * that was frozen and thawed has missed one look, however long it slept, and is not taken for a stuck one.
 */
export class StuckWatch {
  readonly #turns: Int32Array;
  readonly #stuckMs: number;
  #lastTurn = -1;
  #silentLooks = 0;

  constructor(turns: Int32Array, stuckMs: number) {
    this.#turns = turns;
    this.#stuckMs = stuckMs;
  }

  get silentMs(): number {
    return this.#silentLooks * lookIntervalMs(this.#stuckMs);
  }

  get stuck(): boolean {
    return this.silentMs >= this.#stuckMs;
  }

  /** To be called every {@link lookIntervalMs}. */
  look(): void {
    const turn = Atomics.load(this.#turns, 0);
    this.#silentLooks = turn === this.#lastTurn ? this.#silentLooks + 1 : 0;
    this.#lastTurn = turn;
  }
}
