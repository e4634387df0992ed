/** The stretches of a job's way through the handler, in order. */
export type Phase = 'ready' | 'staged' | 'executed' | 'fetched' | 'converted' | 'delivered';

export type Timings = Readonly<Partial<Record<Phase, number>>>;

/** Measures one stretch after the other, in milliseconds. */
export class Stopwatch {
  readonly #timings: Partial<Record<Phase, number>> = {};
  #last = performance.now();

  /** Ends the stretch that began with the last call. @returns how long it took. */
  lap(phase: Phase): number {
    const now = performance.now();
    const ms = Math.round((now - this.#last) * 10) / 10;
    this.#last = now;
    this.#timings[phase] = ms;
    return ms;
  }

  get timings(): Timings {
    return this.#timings;
  }
}
