import type { Clock } from '../clock.ts';
import { describeError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { settlesWithin } from '../waiting.ts';

/** How many jobs have a place at once: a number, or a function that is asked again and again, with the current number. */
export type Concurrency = number | ((current: number) => number | Promise<number>);

/**
 * Keeps the current number. A function that throws, takes its time or answers nonsense is a warning and leaves it as it was;
 * less than one counts as one, for a worker without any place would be idle for ever.
 */
export class Places {
  readonly #concurrency: Concurrency;
  readonly #log: Logger;
  readonly #clock: Clock;
  #current: number;
  #complaint: string | undefined;

  constructor(concurrency: Concurrency, { log, clock }: { log: Logger; clock: Clock }) {
    this.#concurrency = concurrency;
    this.#log = log;
    this.#clock = clock;
    this.#current = typeof concurrency === 'number' ? concurrency : 1;
  }

  /** Whether the number may change without anything else happening. */
  get isDynamic(): boolean {
    return typeof this.#concurrency === 'function';
  }

  async count(): Promise<number> {
    if (typeof this.#concurrency === 'number') return this.#concurrency;
    const wanted = await this.#ask(this.#concurrency);
    const count = Math.max(1, Math.floor(wanted));
    if (count !== this.#current)
      this.#log.info({ from: this.#current, to: count }, 'Concurrency changed');
    this.#current = count;
    return count;
  }

  async #ask(concurrency: (current: number) => number | Promise<number>): Promise<number> {
    try {
      const answer = Promise.resolve(concurrency(this.#current));
      const inTime = await settlesWithin(answer, { ms: ANSWER_MS, clock: this.#clock });
      if (!inTime) throw new TypeError(`no answer within ${ANSWER_MS} ms`);
      return this.#checked(await answer);
    } catch (error) {
      return this.#ignore(describeError(error));
    }
  }

  #checked(wanted: unknown): number {
    if (typeof wanted !== 'number' || !Number.isFinite(wanted)) {
      return this.#ignore(`expected a number, got ${String(wanted)}`);
    }
    this.#complain(wanted < 1 ? `${wanted} counts as 1` : undefined);
    return wanted;
  }

  #ignore(reason: string): number {
    this.#complain(`${reason}; it stays at ${this.#current}`);
    return this.#current;
  }

  /** Once, not at every take. */
  #complain(reason: string | undefined): void {
    if (reason !== undefined && reason !== this.#complaint) {
      this.#log.warn({ reason }, 'The concurrency function gave no usable number');
    }
    this.#complaint = reason;
  }
}

const ANSWER_MS = 5000;
