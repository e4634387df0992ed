import { FAULT_KINDS, FAULTS, type FaultKind } from './faults.ts';

/** A fault and when it happens. */
export interface PlannedFault {
  readonly kind: FaultKind;
  /** Happens when this many jobs have ended, */
  readonly afterJobs: number;
  /** and this many milliseconds later, so that it meets jobs in different steps. */
  readonly delayMs: number;
  /** From 0 to 1: decides the details of the fault. */
  readonly roll: number;
}

export interface PlanOptions {
  readonly seed: number;
  readonly jobs: number;
  /** Jobs between two faults, on average. */
  readonly every: number;
  /** Leave out faults that end the worker, so that one process lives for the whole run. */
  readonly sparesWorker: boolean;
}

/**
 * The faults of a run. The same options give the same plan. Kinds are drawn like cards from a shuffled deck, so that even a
 * short run meets all of them. The last jobs run undisturbed.
 */
export function planFaults({ seed, jobs, every, sparesWorker }: PlanOptions): PlannedFault[] {
  const random = new Random(seed);
  const kinds = FAULT_KINDS.filter((kind) => !sparesWorker || !FAULTS[kind].endsWorker);
  const plan: PlannedFault[] = [];
  let deck: FaultKind[] = [];
  let afterJobs = 0;
  for (;;) {
    afterJobs += random.between(1, 2 * every - 1);
    if (afterJobs > jobs - QUIET_JOBS) return plan;
    if (deck.length === 0) deck = shuffled(kinds, random);
    const kind = deck.pop();
    if (kind === undefined) return plan;
    plan.push({ kind, afterJobs, delayMs: random.between(0, 300), roll: random.next() });
  }
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const keyed = items.map((item) => ({ item, key: random.next() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}

/** Random numbers that are the same in every run with the same seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 to 1, without 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.between(0, items.length - 1)];
    if (item === undefined) throw new RangeError('There is nothing to pick from');
    return item;
  }
}

const QUIET_JOBS = 10;
