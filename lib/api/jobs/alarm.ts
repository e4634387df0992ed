import type { Cancel, Clock } from '../../clock.ts';

/** Calls back once, after a while, unless it is set anew or cancelled before. */
export class Alarm {
  readonly #clock: Clock;
  #cancel: Cancel | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `ring` must not throw. */
  set(ms: number, ring: () => void): void {
    this.cancel();
    this.#cancel = this.#clock.after(ms, ring);
  }

  cancel(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
