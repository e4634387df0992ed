import type { Job } from '../queues/queue.ts';
import type { JobRun } from './job-run.ts';

export interface HeldJobsOptions {
  readonly createRun: (job: Job) => JobRun;
  /** Called when a job has come or gone. */
  readonly onChange: () => void;
  /** Called after that with the id of one that has gone. */
  readonly onEnd: (jobId: string) => void;
}

/** The jobs a worker has taken and not yet finished with: waiting for a place, running, or being delivered. */
export class HeldJobs {
  readonly #options: HeldJobsOptions;
  /** Beyond the room there was: a queue may give more than it was asked for. */
  readonly #waiting = new Map<string, Job>();
  readonly #runs = new Map<string, JobRun>();
  #places = 1;

  constructor(options: HeldJobsOptions) {
    this.#options = options;
  }

  get jobIds(): string[] {
    return [...this.#waiting.keys(), ...this.#runs.keys()];
  }

  has(jobId: string): boolean {
    return this.#waiting.has(jobId) || this.#runs.has(jobId);
  }

  /** Slots that no job has or waits for. */
  get free(): number {
    return this.#places - this.#waiting.size - this.#count((run) => !run.isReleased);
  }

  /** Jobs that have given up their place and whose result is still to come. */
  get finishing(): number {
    return this.#count((run) => run.isReleased && !run.isDelivering);
  }

  /** Whether anything is still to be done but posting results. */
  get areWorking(): boolean {
    return this.#waiting.size > 0 || this.#count((run) => !run.isDelivering) > 0;
  }

  /** Starts the job, or lets it wait when all places are taken. */
  add(job: Job): void {
    this.#waiting.set(job.jobId, job);
    this.#options.onChange();
    this.startWaiting();
  }

  /** How many places there are from now on. What already runs is left alone. */
  setPlaces(places: number): void {
    this.#places = places;
    this.startWaiting();
  }

  /** To be called when a place may have become free. */
  startWaiting(): void {
    for (const job of this.#waiting.values()) {
      if (this.#count((run) => !run.isReleased) >= this.#places) return;
      this.#waiting.delete(job.jobId);
      void this.#run(job);
    }
  }

  /** False when the job is not held. */
  stop(jobId: string, why: string): boolean {
    this.#runs.get(jobId)?.stop(why);
    const waited = this.#waiting.delete(jobId);
    if (waited) this.#ended(jobId);
    return waited || this.#runs.has(jobId);
  }

  async #run(job: Job): Promise<void> {
    const run = this.#options.createRun(job);
    this.#runs.set(job.jobId, run);
    await run.run();
    this.#runs.delete(job.jobId);
    this.#ended(job.jobId);
  }

  #ended(jobId: string): void {
    this.#options.onChange();
    this.#options.onEnd(jobId);
  }

  #count(matches: (run: JobRun) => boolean): number {
    let count = 0;
    for (const run of this.#runs.values()) if (matches(run)) count++;
    return count;
  }
}
