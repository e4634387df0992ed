import { jobLog } from '../log.ts';
import type { Job } from '../queues/queue.ts';
import { hasSlot, JobRun, type JobRunOptions } from './job-run.ts';

interface HeldJobsOptions {
  /** The same for all runs, except `log`: each run gets the log of its job. */
  readonly shared: Omit<JobRunOptions, 'onSlotReleased'>;
  /** Jobs that may run at once. */
  readonly slots: number;
  readonly onSlotReleased: () => void;
  /** Called when a job has come or gone. */
  readonly onChange: () => void;
}

/**
 * The jobs a worker has taken and not finished: waiting for a slot, running, or with a result that is being posted.
 *
 * add -> #startWaiting -> #run -> JobRun.start; a released slot calls #startWaiting again.
 */
export class HeldJobs {
  readonly #options: HeldJobsOptions;
  /** Jobs beyond the slots: a queue may return more than it was asked for. */
  readonly #waiting = new Map<string, Job>();
  readonly #runs = new Map<string, JobRun>();

  constructor(options: HeldJobsOptions) {
    this.#options = options;
  }

  get jobIds(): string[] {
    return [...this.#waiting.keys(), ...this.#runs.keys()];
  }

  has(jobId: string): boolean {
    return this.#waiting.has(jobId) || this.#runs.has(jobId);
  }

  /** Slots that no running job has, and no waiting job will take. */
  get freeSlots(): number {
    return this.#openSlots - this.#waiting.size;
  }

  /** Slots that no running job has. */
  get #openSlots(): number {
    const runs = [...this.#runs.values()];
    return this.#options.slots - runs.filter(({ state }) => hasSlot(state)).length;
  }

  /** Number and bytes of the results that are still to come from jobs without a slot. */
  get unposted(): { readonly count: number; readonly bytes: number } {
    let count = 0;
    let bytes = 0;
    for (const { state } of this.#runs.values()) {
      if (state.kind !== 'slot released') continue;
      count++;
      bytes += state.resultBytes;
    }
    return { count, bytes };
  }

  /** False when nothing is left to do but to post results. */
  get areWorking(): boolean {
    return this.#waiting.size > 0 || this.#runs.values().some((run) => run.isWorking);
  }

  /** Whether another job waits, runs, or has not begun to post its result. */
  areOthersWorking(jobId: string): boolean {
    const others = this.#runs.entries().filter(([other]) => other !== jobId);
    return this.#waiting.size > 0 || others.some(([, run]) => run.isWorking);
  }

  /** Starts the job, or lets it wait while all slots are taken. */
  add(job: Job): void {
    this.#waiting.set(job.jobId, job);
    this.#options.onChange();
    this.#startWaiting();
  }

  /** Stops the job. False when it is not held. */
  stop(jobId: string, reason: string): boolean {
    const run = this.#runs.get(jobId);
    run?.stop(reason);
    const wasWaiting = this.#waiting.delete(jobId);
    if (wasWaiting) this.#forget(jobId);
    return wasWaiting || run !== undefined;
  }

  #startWaiting(): void {
    for (const job of this.#waiting.values()) {
      if (this.#openSlots <= 0) return;
      this.#waiting.delete(job.jobId);
      void this.#run(job);
    }
  }

  async #run(job: Job): Promise<void> {
    const { shared, onSlotReleased } = this.#options;
    const run = new JobRun(job, {
      ...shared,
      log: jobLog(shared.log, job),
      onSlotReleased: () => {
        onSlotReleased();
        this.#startWaiting();
      },
    });
    this.#runs.set(job.jobId, run);
    await run.start();
    this.#runs.delete(job.jobId);
    this.#forget(job.jobId);
  }

  #forget(jobId: string): void {
    this.#options.onChange();
    this.#options.shared.queue.jobEnded?.(jobId);
  }
}
