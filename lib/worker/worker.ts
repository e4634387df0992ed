import { systemClock, type Clock } from '../clock.ts';
import { describeError } from '../errors.ts';
import { jobLog, type Logger } from '../log.ts';
import { Notifier, settlesWithin } from '../waiting.ts';
import { HeldJobs } from './held-jobs.ts';
import { JobRun } from './job-run.ts';
import { Leftovers } from './leftovers.ts';
import { Outbox } from './outbox.ts';
import {
  resultBytes,
  toJobError,
  type Handler,
  type Job,
  type JobQueue,
  type Taken,
} from '../queues/queue.ts';
import { encodeResult, toRefusedResult, type ResultLimit } from './result.ts';
import { Spool } from './spool.ts';
import { takeJobs } from './take-loop.ts';

export interface WorkerOptions {
  readonly queue: JobQueue;
  readonly handler: Handler;
  readonly log: Logger;
  readonly clock?: Clock;
  /** Slots for jobs. A job holds one from the moment it is taken until it releases it or ends. */
  readonly concurrency: number;
  /** Least time between two progress posts of a job; 0 posts none. */
  readonly progressIntervalMs: number;
  /** Largest result that is posted, in bytes of JSON. */
  readonly maxResultBytes: number;
  /** What can be done about a result that is too large; ends the message. */
  readonly tooLargeHint?: string;
  readonly delivery: DeliverySettings;
  /**
   * The result asks for a fresh worker, and this one takes no more jobs after its first. There is one place then,
   * whatever `concurrency` says: the platform would stop the worker under a second job.
   */
  readonly refreshWorker?: boolean;
  /** Told of the jobs held, whenever they change: for the heartbeat. */
  readonly onJobsChange?: (jobIds: readonly string[]) => void;
}

export interface DeliverySettings {
  /** How long posting a result is repeated. */
  readonly timeoutMs: number;
  /** Results, and bytes of them, that may wait to be posted before taking pauses. */
  readonly backlog: number;
  readonly backlogBytes: number;
  /** Where undelivered results are kept for the next start. */
  readonly spoolDir: string;
  /** How long a stopping worker waits for its last results to be posted; 30 s when left out. */
  readonly drainMs?: number;
}

/** Begins to take and run jobs, and posts what an earlier worker has left undelivered. */
export function startWorker(options: WorkerOptions): Worker {
  return new Worker(options);
}

/**
 * Takes jobs while there is room, runs them, and sees their results off.
 *
 *     taking ── stop() ──► handing over ── 300 ms ──► finishing ── no job runs ──► draining ── posted, or on disk ──► done
 */
export class Worker implements AsyncDisposable {
  /** Resolves when the worker has ended and nothing of it is left running. */
  readonly done: Promise<void>;

  readonly #options: WorkerOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #outbox: Outbox;
  readonly #jobs: HeldJobs;
  readonly #leftovers: Leftovers;
  readonly #changed = new Notifier();
  readonly #stopping = new AbortController();
  readonly #stopped = Promise.withResolvers<undefined>();
  readonly #polling = new AbortController();
  readonly #finished = new AbortController();

  constructor(options: WorkerOptions) {
    const { log, clock = systemClock, delivery } = options;
    this.#options = options;
    this.#clock = clock;
    this.#log = log;
    const spool = new Spool({ dir: delivery.spoolDir, log, clock });
    this.#outbox = this.#createOutbox(spool);
    this.#leftovers = new Leftovers({
      spool,
      outbox: this.#outbox,
      log,
      isHeld: (jobId) => this.#isHeld(jobId),
      room: () => this.#outboxRoom(),
    });
    this.#jobs = new HeldJobs({
      createRun: (job) => this.#createRun(job),
      onChange: () => this.#changedJobs(),
      onEnd: (jobId) => options.queue.jobEnded?.(jobId),
    });
    this.#jobs.setPlaces(options.refreshWorker ? 1 : options.concurrency);
    this.done = this.#live();
  }

  /** Jobs held: waiting for a place, running, or with a result that is not delivered. */
  get jobIds(): readonly string[] {
    return [...new Set([...this.#jobs.jobIds, ...this.#outbox.jobIds])];
  }

  /** Results that are not delivered yet. */
  get undelivered(): number {
    return this.#outbox.jobIds.length;
  }

  /** Takes no more jobs. The worker ends when those it has are done and their results posted or on disk. */
  stop(): void {
    if (this.#isStopping) return;
    this.#log.info({ held: this.jobIds.length }, 'No more jobs are taken');
    this.#stopping.abort();
    this.#stopped.resolve(undefined);
    this.#changed.notify();
  }

  /** Ends as soon as possible: what runs is aborted and nothing is posted for it; results on their way stay on disk. */
  kill(): void {
    this.stop();
    this.#polling.abort();
    for (const jobId of this.#jobs.jobIds) {
      if (!this.#outbox.has(jobId)) this.#jobs.stop(jobId, 'the worker is ending');
    }
    this.#outbox.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.done;
  }

  async #live(): Promise<void> {
    const stops = this.#watchStops();
    const leftovers = this.#leftovers.post();
    await this.#takeUntilStopped();
    while (this.#jobs.areWorking) await this.#changed.notified();
    await this.#outbox.close(this.#options.delivery.drainMs ?? DRAIN_MS);
    while (this.#jobs.jobIds.length > 0) await this.#changed.notified();
    this.#finished.abort();
    await Promise.all([stops, leftovers]);
    this.#log.info('The worker has ended');
  }

  /** Once stopped, the open poll gets a moment: a job that is already on its way cannot be handed back. */
  async #takeUntilStopped(): Promise<void> {
    const taking = takeJobs({
      queue: this.#options.queue,
      clock: this.#clock,
      log: this.#log,
      room: () => this.#room(),
      isBusy: () => this.jobIds.length > 0,
      accept: (taken) => this.#accept(taken),
      stopping: this.#stopping.signal,
      polling: this.#polling.signal,
    });
    await Promise.race([taking, this.#stopped.promise]);
    await settlesWithin(taking, { ms: HAND_OVER_MS, clock: this.#clock });
    this.#polling.abort();
    await taking;
  }

  /** How many jobs may be taken now; waits until it is at least one, or 0 when the worker stops. */
  async #room(): Promise<number> {
    while (!this.#isStopping) {
      await Promise.resolve(); // a job that has just ended puts its result into the outbox first
      const { free } = this.#jobs;
      if (free > 0 && !this.#outbox.isFull(this.#jobs.finishing)) return free;
      await this.#changed.notified();
    }
    return 0;
  }

  /** Whether there is a new job now. One that is held already is run once, and has one result. */
  #accept(taken: Taken): boolean {
    if (taken.kind === 'broken') {
      this.#reject(taken.problem, taken.jobId);
      return false;
    }
    const { job } = taken;
    if (this.#isHeld(job.jobId)) {
      this.#log.warn({ requestId: job.jobId }, 'A job came that is already held; it is run once');
      return false;
    }
    this.#leftovers.taken(job.jobId);
    this.#jobs.add(job);
    return true;
  }

  #reject(problem: string, jobId: string | undefined): void {
    const log = jobId === undefined ? this.#log : jobLog(this.#log, { jobId });
    log.warn({ reason: problem }, 'What was taken is not a job');
    if (jobId === undefined || this.#isHeld(jobId)) return;
    const result = encodeResult({ error: toJobError('input.missing', problem) }, this.#limit);
    const bytes = resultBytes(result.output, result);
    void this.#outbox.deliver({ jobId, result, bytes, log });
  }

  /** Waits until one more result may wait to be posted. False when the worker is stopped first. */
  async #outboxRoom(): Promise<boolean> {
    while (this.#outbox.isFull(0) && !this.#isStopping) await this.#changed.notified();
    return !this.#isStopping;
  }

  async #watchStops(): Promise<void> {
    const { signal } = this.#finished;
    try {
      for await (const jobIds of this.#options.queue.stops?.(signal) ?? []) {
        for (const jobId of jobIds) this.#stopJob(jobId);
      }
    } catch (error) {
      if (signal.aborted) return;
      this.#log.error({ reason: describeError(error) }, 'Jobs can no longer be stopped');
    }
  }

  #stopJob(jobId: string): void {
    if (!this.#jobs.stop(jobId, 'the platform cancelled it')) this.#outbox.drop(jobId);
  }

  #isHeld(jobId: string): boolean {
    return this.#jobs.has(jobId) || this.#outbox.has(jobId);
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  #changedJobs(): void {
    this.#changed.notify();
    this.#options.onJobsChange?.(this.jobIds);
  }

  #createOutbox(spool: Spool): Outbox {
    const { queue, delivery, refreshWorker = false } = this.#options;
    return new Outbox({
      ...delivery,
      queue,
      clock: this.#clock,
      spool,
      toRefusedResult: (bytes, reason) => ({
        ...toRefusedResult(bytes, { reason, ...this.#limit }),
        ...(refreshWorker && { freshWorker: true }),
      }),
      onChange: () => this.#changedJobs(),
    });
  }

  #createRun(job: Job): JobRun {
    const { queue, handler, progressIntervalMs, refreshWorker = false } = this.#options;
    return new JobRun(job, {
      queue,
      handler,
      outbox: this.#outbox,
      clock: this.#clock,
      log: jobLog(this.#log, job),
      progressIntervalMs,
      limit: this.#limit,
      refreshWorker,
      onRelease: () => this.#released(),
    });
  }

  #released(): void {
    if (this.#options.refreshWorker) this.stop();
    this.#jobs.startWaiting();
    this.#changed.notify();
  }

  get #limit(): ResultLimit {
    return { maxBytes: this.#options.maxResultBytes, hint: this.#options.tooLargeHint };
  }
}

/** How long a poll that is open when the worker stops may still bring a job. */
const HAND_OVER_MS = 300;
const DRAIN_MS = 30_000;
