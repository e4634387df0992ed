import type { JobRecord } from './job-record.ts';
import type { MemoryLimits } from '../server/settings.ts';

/**
 * What jobs keep in memory, counted, and within limits. Jobs that wait or run are never touched. Of ended ones the oldest gives up
 * its output first, so that the newest result is the last to go.
 */
export class Memory {
  readonly #limits: MemoryLimits;
  readonly #counted = new Map<JobRecord, number>();
  /** Jobs that have ended, the oldest first. */
  readonly #ended = new Set<JobRecord>();
  /** Those of them that have something to give up. */
  readonly #spendable = new Set<JobRecord>();
  #bytes = 0;

  constructor(limits: MemoryLimits) {
    this.#limits = limits;
  }

  /** Of all jobs, near enough. */
  get bytes(): number {
    return this.#bytes;
  }

  /** To be told whenever the state of a job, or what it holds, has changed. */
  note(job: JobRecord): void {
    this.#bytes += job.bytes - (this.#counted.get(job) ?? 0);
    this.#counted.set(job, job.bytes);
    setMember(this.#ended, job, job.isOver);
    setMember(this.#spendable, job, job.isOver && job.canShrink);
  }

  forget(job: JobRecord): void {
    this.#bytes -= this.#counted.get(job) ?? 0;
    for (const jobs of [this.#counted, this.#ended, this.#spendable]) jobs.delete(job);
  }

  /** Takes outputs from ended jobs until there is room for `bytes` more. Says whether there is. */
  makeRoom(bytes: number): boolean {
    const most = this.#limits.bytes - bytes;
    if (most < 0) return false;
    for (const job of this.#spendable) {
      if (this.#bytes <= most) break;
      job.dropOutput(); // and is noted with what is left
    }
    return this.#bytes <= most;
  }

  /** Ended jobs that are too many, the oldest first. */
  tooMany(): JobRecord[] {
    const surplus = this.#ended.size - this.#limits.records;
    return surplus > 0 ? [...this.#ended].slice(0, surplus) : [];
  }
}

/** Puts the job into the set, or takes it out; one that is in keeps its place. */
function setMember(jobs: Set<JobRecord>, job: JobRecord, isIn: boolean): void {
  if (isIn) jobs.add(job);
  else jobs.delete(job);
}
