import { setTimeout as sleep } from 'node:timers/promises';
import { summarize } from './statistics.ts';
import type { WorkerProcess } from './worker-process.ts';

/** How much memory a worker held over a run. */
export interface MemoryOverTime {
  /** Medians of the first and the last third of the samples. */
  readonly firstThirdBytes: number;
  readonly lastThirdBytes: number;
  readonly samples: number;
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
    const third = Math.floor(this.#samples.length / 3);
    const first = summarize(this.#samples.slice(0, third));
    const last = summarize(this.#samples.slice(-third));
    if (third === 0 || !first || !last) return undefined;
    return {
      firstThirdBytes: first.median,
      lastThirdBytes: last.median,
      samples: this.#samples.length,
    };
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
