import { once } from 'node:events';
import { systemClock, type Clock } from '../clock.ts';
import { describeError, isWorkerError } from '../errors.ts';
import { Backoff, RETRY_POLICIES } from '../http/retry.ts';
import { jobLog, type Logger } from '../log.ts';
import { toJobError, type Handler, type JobQueue, type Taken } from '../queues/queue.ts';
import { Notifier, pause, settlesWithin } from '../waiting.ts';
import { HeldJobs } from './held-jobs.ts';
import { LateResults } from './late-results.ts';
import { Outbox } from './outbox.ts';
import { encodeResult, type ResultLimit } from './encode-result.ts';
import { Refresh, type RefreshPolicy } from './refresh.ts';
import { Spool } from './spool.ts';

export interface WorkerOptions {
  readonly queue: JobQueue;
  readonly handler: Handler;
  readonly log: Logger;
  readonly clock?: Clock;
  /** Jobs that may run at once. A job has a slot from the moment it starts until it releases it or ends. */
  readonly slots: number;
  /** Shortest time between two progress posts of a job; 0 turns progress off. */
  readonly progressIntervalMs: number;
  /** Largest result that is posted, in bytes of JSON. */
  readonly maxResultBytes: number;
  /** Advice for a result that is too large; ends the message. */
  readonly tooLargeHint?: string;
  readonly posting: PostingSettings;
  readonly refresh?: RefreshPolicy;
  /** While it is closed no poll begins. Always open when left out. */
  readonly gate?: Gate;
  /** Called with the ids of all jobs held whenever they change; the heartbeat sends them. */
  readonly onJobsChange?: (jobIds: readonly string[]) => void;
}

/** Whether jobs could be run now. */
export interface Gate {
  isOpen(): boolean;
  /** Whether the open poll is ended too. A job that comes in that moment is lost until the platform hands it out again. */
  endsPoll(): boolean;
  /** @returns a function that ends this. */
  onChange(listener: () => void): () => void;
}

interface PostingSettings {
  /** How long posting a result is retried. */
  readonly timeoutMs: number;
  /** Undelivered results, and bytes of them, at which no more jobs are taken. */
  readonly backlog: number;
  readonly backlogBytes: number;
  /** Folder that keeps undelivered results for the next start. */
  readonly spoolDir: string;
  /** How long a finishing worker waits for its last results to be posted; 30 s when left out. */
  readonly drainMs?: number;
}

/** Starts to take and run jobs, and posts results that were left on disk. */
export function startWorker(options: WorkerOptions): Worker {
  return new Worker(options);
}

/**
 * Takes jobs while slots are free, runs them, and posts their results.
 *
 *     taking ── finish() ──► last poll ── 300 ms ──► finishing ── no job runs ──► draining ── posted, or on disk ──► done
 *               #finishing                #polling                                            #ended
 *
 * Below an arrow is the controller that is aborted there.
 */
export class Worker implements AsyncDisposable {
  /** Resolves when the worker has ended and nothing of it is left running. */
  readonly done: Promise<void>;

  readonly #options: WorkerOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #limit: ResultLimit;
  readonly #spool: Spool;
  readonly #outbox: Outbox;
  readonly #late: LateResults;
  readonly #jobs: HeldJobs;
  readonly #refresh: Refresh;
  readonly #changed = new Notifier();
  /** Aborted by `finish`: no more jobs are taken, delays are cut short. */
  readonly #finishing = new AbortController();
  /** Aborted when the open poll has to end. */
  readonly #polling = new AbortController();
  /** Aborted when no job is held any more. */
  readonly #ended = new AbortController();
  /** Resolves when no more jobs come. */
  #taking: Promise<void> | undefined;

  constructor(options: WorkerOptions) {
    const { queue, handler, log, posting, refresh: policy = {} } = options;
    const { clock = systemClock, progressIntervalMs } = options;
    this.#options = options;
    this.#clock = clock;
    this.#log = log;
    const limit = (this.#limit = { maxBytes: options.maxResultBytes, hint: options.tooLargeHint });
    this.#spool = new Spool({ dir: posting.spoolDir, log, clock });
    const onChange = () => {
      this.#changed.notify();
      options.onJobsChange?.(this.jobIds);
    };
    const spool = this.#spool;
    const onDelivered = () => this.#late.resultDelivered();
    const outbox = new Outbox({ ...posting, queue, clock, spool, limit, onChange, onDelivered });
    this.#outbox = outbox;
    this.#late = new LateResults({ spool, outbox, clock, log, heldJobIds: () => this.jobIds });
    this.#refresh = new Refresh({ policy, isReplaceable: queue.replacesWorkers ?? false });
    this.#jobs = new HeldJobs({
      shared: {
        ...{ queue, handler, outbox, clock, log, progressIntervalMs, limit },
        isRefreshDue: (result) => this.#refresh.isDueAfter(result),
        isLastResult: (jobId) => this.#isLastResult(jobId),
      },
      slots: options.slots,
      onSlotReleased: () => {
        if (this.#refresh.jobsLeft === 0) this.finish();
        this.#changed.notify();
      },
      onChange,
    });
    this.done = this.#live();
  }

  /** Jobs held: waiting for a slot, running, or with an undelivered result. */
  get jobIds(): readonly string[] {
    return [...new Set([...this.#jobs.jobIds, ...this.#outbox.jobIds])];
  }

  /** Number of results that are not delivered yet. */
  get undelivered(): number {
    return this.#outbox.jobIds.length;
  }

  /** Takes no more jobs. The worker ends when the jobs it holds are done and their results posted or on disk. */
  finish(): void {
    if (this.#finishing.signal.aborted) return;
    this.#log.info({ held: this.jobIds.length }, 'No more jobs are taken');
    this.#finishing.abort();
    this.#changed.notify();
  }

  /** Ends as soon as possible: running jobs are aborted and get no result; undelivered results stay on disk. */
  kill(): void {
    this.finish();
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
    const watchingStops = this.#watchStops();
    this.#late.platformAnswered();
    const finishCalled = once(this.#finishing.signal, 'abort');
    const taking = (this.#taking = this.#takeJobs());
    await Promise.race([taking, finishCalled]);
    // A job that is already on its way cannot be handed back: the open poll gets a moment to bring it.
    await settlesWithin(taking, { ms: LAST_POLL_MS, clock: this.#clock });
    this.#polling.abort();
    await taking;
    while (this.#jobs.areWorking) await this.#changed.notified();
    await this.#outbox.close(this.#options.posting.drainMs ?? DRAIN_MS, this.#late.end());
    while (this.#jobs.jobIds.length > 0) await this.#changed.notified();
    this.#ended.abort();
    await watchingStops;
    this.#log.info('The worker has ended');
  }

  /**
   * Polls as long as slots are free. A job never waits for a delay: the next poll begins the moment a slot is free, and
   * right after a long poll. Delays follow only a poll that failed or was answered at once without
   * a job.
   */
  async #takeJobs(): Promise<void> {
    let gateClosed = new AbortController();
    using _ = this.#watchGate(() => {
      gateClosed.abort();
      gateClosed = new AbortController();
    });
    const failed = new Backoff(RETRY_POLICIES.takeFailed);
    const empty = new Backoff(RETRY_POLICIES.takeEmpty);
    for (let limit = await this.#freeSlots(); limit > 0; limit = await this.#freeSlots()) {
      const busy = this.jobIds.length > 0;
      const startedAt = this.#clock.now();
      let delayMs = 0;
      const signal = AbortSignal.any([this.#polling.signal, gateClosed.signal]);
      try {
        const taken = await this.#options.queue.take({ limit, busy, signal });
        failed.reset();
        this.#late.platformAnswered();
        const newJobs = taken.filter((one) => this.#accept(one));
        const wasLongPoll = this.#clock.now() - startedAt >= LONG_POLL_MS;
        if (newJobs.length > 0 || wasLongPoll) empty.reset();
        else delayMs = empty.next();
      } catch (error) {
        if (this.#polling.signal.aborted) return;
        if (signal.aborted) continue;
        const retryAfterMs = isWorkerError(error) ? error.retryAfterMs : undefined;
        delayMs = Math.max(failed.next(), retryAfterMs ?? 0);
        this.#log.warn({ reason: describeError(error), delayMs }, 'Taking jobs failed');
      }
      await pause(delayMs, { clock: this.#clock, signal: this.#finishing.signal });
    }
  }

  /** Not at once: a job that is already on its way would be lost with its poll. */
  #watchGate(onClosed: () => void): Disposable {
    const { gate } = this.#options;
    const endPoll = () => (gate?.endsPoll() ? onClosed() : undefined);
    const stop = gate?.onChange(() => {
      if (gate.endsPoll()) this.#clock.after(LAST_POLL_MS, endPoll);
      this.#changed.notify();
    });
    return { [Symbol.dispose]: () => stop?.() };
  }

  /** Waits until at least one job may be taken. 0 when the worker is finishing. */
  async #freeSlots(): Promise<number> {
    while (!this.#finishing.signal.aborted) {
      const freeSlots = Math.min(this.#jobs.freeSlots, this.#refresh.jobsLeft);
      const isOpen = this.#options.gate?.isOpen() ?? true;
      if (isOpen && freeSlots > 0 && !this.#outbox.isFull(this.#jobs.unposted)) return freeSlots;
      await this.#changed.notified();
    }
    return 0;
  }

  /** Starts a job that was taken. False when it is no job, or one that is held already: that one runs once. */
  #accept(taken: Taken): boolean {
    if (taken.kind === 'broken') {
      const { jobId, problem } = taken;
      const log = jobId === undefined ? this.#log : jobLog(this.#log, { jobId });
      log.warn({ reason: problem }, 'The queue handed over something that is not a job');
      if (jobId === undefined || this.#isHeld(jobId)) return false;
      const result = encodeResult({ error: toJobError('input.missing', problem) }, this.#limit);
      void this.#outbox.post({ jobId, result, log });
      return false;
    }
    const { job } = taken;
    if (this.#isHeld(job.jobId)) {
      this.#log.warn({ requestId: job.jobId }, 'A job came that is already held; it runs once');
      return false;
    }
    const finished = this.#spool.find(job.jobId);
    if (finished) {
      const log = jobLog(this.#log, job);
      log.warn('The result of a job that came is on disk; it is posted, and the job does not run');
      const posted = this.#outbox.post({ ...finished, log, onDisk: 'wanted' });
      void posted.then(() => this.#options.queue.jobEnded?.(job.jobId));
      return false;
    }
    this.#refresh.onAccepted();
    this.#jobs.add(job);
    return true;
  }

  /** Takes no more jobs, and waits until no other result is on its way. False when other jobs are still held. */
  async #isLastResult(jobId: string): Promise<boolean> {
    this.finish();
    await this.#taking;
    if (this.#jobs.areOthersWorking(jobId)) return false;
    while (this.#outbox.jobIds.some((other) => other !== jobId)) await this.#changed.notified();
    return true;
  }

  async #watchStops(): Promise<void> {
    const { signal } = this.#ended;
    try {
      for await (const jobIds of this.#options.queue.stops?.(signal) ?? []) {
        for (const jobId of jobIds) {
          if (this.#jobs.stop(jobId, 'the platform cancelled it')) continue;
          if (this.#outbox.has(jobId)) this.#outbox.drop(jobId);
          else await this.#spool.remove(jobId);
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      this.#log.error({ reason: describeError(error) }, 'Jobs can no longer be stopped');
    }
  }

  #isHeld(jobId: string): boolean {
    return this.#jobs.has(jobId) || this.#outbox.has(jobId);
  }
}

/** How long a poll that is open when `finish` is called, or when the gate ends it, may still bring a job. */
const LAST_POLL_MS = 300;
/** The platform kept a poll that took this long open on purpose, and expects the next one at once. */
const LONG_POLL_MS = 250;
const DRAIN_MS = 30_000;
