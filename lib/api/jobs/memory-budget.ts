import type { JobRecord } from './job-record.ts';

export interface MemoryLimits {
  /** Ended jobs that are remembered. */
  readonly records: number;
  /** Bytes of inputs and outputs of all jobs together. */
  readonly bytes: number;
}

/**
 * Counts the memory that jobs use and keeps it within limits. Queued and running jobs are never touched. Of the ended jobs the
 * oldest lose their output first.
 */
export class MemoryBudget {
  readonly #limits: MemoryLimits;
  readonly #sizes = new Map<JobRecord, number>();
  /** Ended jobs, the oldest first. */
  readonly #ended = new Set<JobRecord>();
  /** Ended jobs that still have something to drop, the oldest first. */
  readonly #shrinkable = new Set<JobRecord>();
  #bytes = 0;

  constructor(limits: MemoryLimits) {
    this.#limits = limits;
  }

  /** Bytes of all jobs, approximately. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Called whenever the state or the size of a job has changed. */
  update(job: JobRecord): void {
    this.#bytes += job.bytes - (this.#sizes.get(job) ?? 0);
    this.#sizes.set(job, job.bytes);
    if (job.isOver) this.#ended.add(job);
    else this.#ended.delete(job);
    if (job.isOver && job.canShrink) this.#shrinkable.add(job);
    else this.#shrinkable.delete(job);
  }

  remove(job: JobRecord): void {
    this.#bytes -= this.#sizes.get(job) ?? 0;
    for (const jobs of [this.#sizes, this.#ended, this.#shrinkable]) jobs.delete(job);
  }

  /** Drops outputs of ended jobs until `bytes` more fit. @returns whether they fit. */
  makeSpace(bytes: number): boolean {
    const most = this.#limits.bytes - bytes;
    if (most < 0) return false;
    for (const job of this.#shrinkable) {
      if (this.#bytes <= most) break;
      job.dropOutput(); // calls update()
    }
    return this.#bytes <= most;
  }

  /** The oldest ended jobs beyond the limit. */
  surplus(): JobRecord[] {
    const count = this.#ended.size - this.#limits.records;
    return count > 0 ? [...this.#ended].slice(0, count) : [];
  }
}
