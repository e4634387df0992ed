import { setTimeout as sleep } from 'node:timers/promises';
import { summarize } from './statistics.ts';
import type { WorkerProcess } from './worker-process.ts';

/** Resident memory of a worker over a run, in bytes: medians of the first, the second and the last third of it. */
export interface MemoryOverTime {
  readonly first: number;
  readonly second: number;
  readonly last: number;
}

/** Looks at resident memory at intervals, from now until {@link stop}. */
export class MemoryWatch {
  readonly #samples: number[] = [];
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  constructor(worker: WorkerProcess, intervalMs = 250) {
    this.#done = this.#watch(worker, intervalMs);
  }

  /** Undefined when the run was too short to compare anything. */
  async stop(): Promise<MemoryOverTime | undefined> {
    this.#stop.abort();
    await this.#done;
    return overTime(this.#samples);
  }

  async #watch(worker: WorkerProcess, intervalMs: number): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const usage = await worker.usage();
      if (usage) this.#samples.push(usage.residentBytes);
      await sleep(intervalMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** Undefined for less than three samples. */
export function overTime(samples: readonly number[]): MemoryOverTime | undefined {
  const third = samples.length / 3;
  const [first, second, last] = [0, 1, 2].map((index) =>
    summarize(samples.slice(Math.round(index * third), Math.round((index + 1) * third))),
  );
  if (!first || !second || !last) return undefined;
  return { first: first.median, second: second.median, last: last.median };
}
