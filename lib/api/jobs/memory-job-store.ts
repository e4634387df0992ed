import type { Cancel, Clock } from '../../clock.ts';
import { describeError, WorkerError } from '../../errors.ts';
import { jobLog, type Logger } from '../../log.ts';
import type { LocalQueue } from '../../queues/local/local-queue.ts';
import { toJobError } from '../../queues/queue.ts';
import { settlesWithin } from '../../waiting.ts';
import { JobRecord, type Ending } from './job-record.ts';
import type {
  EndStatus,
  JobCounts,
  JobStore,
  LiveUpdate,
  NewJob,
  StoredJob,
  UpdateKind,
} from './job-store.ts';
import { MemoryBudget, type MemoryLimits } from './memory-budget.ts';

/** A job with its timers. */
interface Entry {
  readonly job: JobRecord;
  readonly onEnd: NewJob['onEnd'];
  cancelExpiry?: Cancel;
  cancelTimeout?: Cancel;
  /** Aborted to take the current run back from the queue or the worker. */
  run: AbortController;
}

/** Jobs in the memory of this process. They are lost when it ends. */
export class MemoryJobStore implements JobStore {
  readonly #queue: LocalQueue;
  readonly #workerId: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #entries = new Map<string, Entry>();
  readonly #budget: MemoryBudget;
  readonly #ended: Record<EndStatus, number> = {
    completed: 0,
    failed: 0,
    cancelled: 0,
    timed_out: 0,
  };
  #retried = 0;
  #state: 'open' | 'stopping' | 'closed' = 'open';

  constructor({
    queue,
    limits,
    workerId,
    clock,
    log,
  }: {
    readonly queue: LocalQueue;
    readonly limits: MemoryLimits;
    readonly workerId: string;
    readonly clock: Clock;
    readonly log: Logger;
  }) {
    this.#queue = queue;
    this.#workerId = workerId;
    this.#clock = clock;
    this.#log = log;
    this.#budget = new MemoryBudget(limits);
  }

  get isStopping(): boolean {
    return this.#state !== 'open';
  }

  counts(): JobCounts {
    const counts = { queued: 0, running: 0, ...this.#ended, retried: this.#retried };
    for (const { job } of this.#entries.values()) {
      if (job.status === 'queued' || job.status === 'running') counts[job.status]++;
    }
    return counts;
  }

  bytes(): number {
    return this.#budget.bytes;
  }

  latest(limit: number): JobRecord[] {
    return [...this.#entries.values()]
      .slice(-limit)
      .reverse()
      .map(({ job }) => job);
  }

  submit(newJob: NewJob): JobRecord {
    this.#refuseIfStopping();
    if (this.#queue.isFull) throw full('its queue is full');
    if (!this.#budget.makeSpace(newJob.sourceLength)) throw full('its memory is full');
    const { jobId, onEnd } = newJob;
    const job = new JobRecord(newJob, {
      now: this.#clock.now(),
      log: jobLog(this.#log, { jobId }),
      onSizeChange: () => {
        if (this.#entries.has(jobId)) this.#budget.update(job);
      },
    });
    const entry = { job, onEnd, run: new AbortController() };
    this.#entries.set(jobId, entry);
    this.#budget.update(job);
    this.#setExpiry(entry);
    void this.#run(entry);
    return job;
  }

  get(jobId: string): JobRecord {
    return this.#entry(jobId).job;
  }

  async watch(
    jobId: string,
    isReady: (job: StoredJob) => boolean,
    { ms, signal }: { readonly ms: number; readonly signal: AbortSignal },
  ): Promise<JobRecord> {
    const { job } = this.#entry(jobId);
    const clock = this.#clock;
    const endsAt = clock.now() + ms;
    const isEnough = () => isReady(job) || this.#state === 'closed' || !this.#entries.has(jobId);
    const aborted = Promise.withResolvers<undefined>();
    const abort = () => aborted.resolve(undefined);
    signal.addEventListener('abort', abort, { once: true });
    while (!isEnough() && !signal.aborted && clock.now() < endsAt) {
      const changed = Promise.race([job.changed.notified(), aborted.promise]);
      await settlesWithin(changed, { ms: endsAt - clock.now(), clock });
    }
    signal.removeEventListener('abort', abort);
    return this.#state === 'closed' || signal.aborted ? job : this.get(jobId);
  }

  takeUpdates(jobId: string, kinds: ReadonlySet<UpdateKind>): LiveUpdate[] {
    return this.#state === 'closed' ? [] : this.get(jobId).takeUpdates(kinds);
  }

  setTtl(jobId: string, ttlMs: number): void {
    const entry = this.#entry(jobId);
    entry.job.expiresAt = this.#clock.now() + ttlMs;
    this.#setExpiry(entry);
  }

  cancel(jobId: string): JobRecord {
    const entry = this.#entry(jobId);
    if (!entry.job.isOver) this.#stopJob(entry, { status: 'cancelled' });
    return entry.job;
  }

  retry(jobId: string): JobRecord {
    const entry = this.#entry(jobId);
    const { job } = entry;
    this.#refuseIfStopping();
    if (!job.canRetry) throw cannotRetry(job);
    if (this.#queue.isFull) throw full('its queue is full');
    this.#retried++;
    job.requeue(this.#clock.now());
    this.#setExpiry(entry);
    void this.#run(entry);
    return job;
  }

  purge(): number {
    const queued = this.#queued();
    for (const entry of queued) this.#stopJob(entry, { status: 'cancelled' });
    return queued.length;
  }

  stop(): void {
    if (this.#state === 'open') this.#state = 'stopping';
    const error = toJobError('api.stopping', STOPPED);
    for (const entry of this.#queued()) this.#stopJob(entry, { status: 'failed', error });
  }

  close(): void {
    this.stop();
    this.#state = 'closed';
    for (const entry of [...this.#entries.values()]) this.#forget(entry);
  }

  async #run(entry: Entry): Promise<void> {
    const { job } = entry;
    const { signal } = (entry.run = new AbortController());
    try {
      const { output, error } = await this.#queue.submit(job.toJob(), {
        signal,
        onTaken: () => this.#startTimeout(entry),
        onProgress: (value) => job.setProgress(value),
        onPreview: (image) => job.setPreview(image),
      });
      if (!signal.aborted)
        this.#end(entry, { status: error ? 'failed' : 'completed', output, error });
    } catch (error) {
      if (signal.aborted) return;
      const jobError = toJobError('worker.unexpected', describeError(error));
      this.#end(entry, { status: 'failed', error: jobError });
    }
  }

  /** The worker has taken the job. */
  #startTimeout(entry: Entry): void {
    const { executionTimeoutMs: ms } = entry.job.policy;
    entry.job.setTaken(this.#workerId, this.#clock.now());
    const text = `The job ran for ${ms / 1000} s and was stopped; raise policy.executionTimeout or JOB_TIMEOUT_S if it needs more`;
    const error = toJobError('job.timeout', text);
    entry.cancelTimeout = this.#clock.after(ms, () =>
      this.#stopJob(entry, { status: 'timed_out', error }),
    );
  }

  /** Ends a job before the worker does. The worker is told to stop it, and a late result is ignored. */
  #stopJob(entry: Entry, ending: Ending): void {
    entry.run.abort(new WorkerError('job.stopped', `Job ${entry.job.jobId} was stopped`));
    this.#end(entry, ending);
  }

  #end(entry: Entry, ending: Ending): void {
    const { job } = entry;
    entry.cancelTimeout?.();
    job.setEnded(ending, this.#clock.now());
    this.#ended[ending.status]++;
    this.#setExpiry(entry);
    void Promise.resolve(entry.onEnd?.(job)).then(() => {
      if (job.isOver && !job.canRetry) job.dropRequest();
      setImmediate(() => this.#trim()); // callers that wait for the job read its result first
    });
  }

  #setExpiry(entry: Entry): void {
    const { expiresAt, endedAt, policy } = entry.job;
    const at =
      endedAt === undefined ? expiresAt : Math.min(expiresAt, endedAt + policy.retentionMs);
    entry.cancelExpiry?.();
    entry.cancelExpiry = this.#clock.after(at - this.#clock.now(), () => this.#forget(entry));
  }

  #forget(entry: Entry): void {
    const { job } = entry;
    entry.cancelExpiry?.();
    entry.cancelTimeout?.();
    this.#entries.delete(job.jobId);
    this.#budget.remove(job);
    entry.run.abort(new WorkerError('job.stopped', `Job ${job.jobId} is forgotten`));
    job.changed.notify();
  }

  #trim(): void {
    this.#budget.makeSpace(0);
    for (const { jobId } of this.#budget.surplus()) this.#forget(this.#entry(jobId));
  }

  #queued(): Entry[] {
    return [...this.#entries.values()].filter(({ job }) => job.status === 'queued');
  }

  #entry(jobId: string): Entry {
    const entry = this.#entries.get(jobId);
    if (entry) return entry;
    const text = 'There is no such job: the id is wrong, or the time it is remembered is over';
    throw new WorkerError('api.job_unknown', text);
  }

  #refuseIfStopping(): void {
    if (!this.isStopping) return;
    const text = 'The worker is being stopped and takes no new jobs';
    throw new WorkerError('api.stopping', text, { retryAfterMs: RETRY_AFTER_MS });
  }
}

function cannotRetry({ status }: JobRecord): WorkerError {
  const failed = status === 'failed' || status === 'timed_out';
  const why = failed
    ? 'its input is no longer kept; send it again'
    : `it is ${status}, and only jobs that failed or timed out can be tried again`;
  return new WorkerError('api.bad_request', `The job cannot be retried: ${why}`);
}

function full(why: string): WorkerError {
  const text = `The job is not accepted: ${why}; send it again later`;
  return new WorkerError('queue.full', text, { retryAfterMs: RETRY_AFTER_MS });
}

const STOPPED = 'The worker was stopped before the job began; send it again';
const RETRY_AFTER_MS = 5000;
