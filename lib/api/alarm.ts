import type { Clock } from '../clock.ts';

/** Calls back once, after a while, unless it is set anew or cancelled before. */
export class Alarm {
  readonly #clock: Clock;
  #sleeping: AbortController | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `ring` must not throw. */
  set(ms: number, ring: () => void): void {
    this.cancel();
    const sleeping = new AbortController();
    this.#sleeping = sleeping;
    void this.#clock.sleep(Math.max(0, ms), sleeping.signal).then(ring, ignore);
  }

  cancel(): void {
    this.#sleeping?.abort();
    this.#sleeping = undefined;
  }
}

const ignore = () => undefined;
