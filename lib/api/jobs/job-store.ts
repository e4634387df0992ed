import { randomUUID } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import { describeError, WorkerError } from '../../errors.ts';
import { jobLog, type Logger } from '../../log.ts';
import type { LocalQueue } from '../../queues/local/local-queue.ts';
import type { EncodedResult } from '../../queues/queue.ts';
import { Alarm } from './alarm.ts';
import { JobRecord, type Ending, type EndStatus } from './job-record.ts';
import { Memory } from './memory.ts';
import type { RunRequest } from '../runpod/run-request.ts';
import type { ApiSettings, RunKind } from '../server/settings.ts';

export interface JobStoreOptions {
  readonly queue: LocalQueue;
  readonly settings: Pick<ApiSettings, 'retentionMs' | 'executionTimeoutMs' | 'memory'>;
  readonly workerId: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told of every job that has ended; what it returns is waited for before the request is let go. */
  readonly onEnd: (job: JobRecord, status: EndStatus) => Promise<void>;
}

/** How many jobs there are, or have been since the start, by what became of them. */
export type JobCounts = Readonly<
  Record<'IN_QUEUE' | 'IN_PROGRESS' | EndStatus | 'retried', number>
>;

/** A job with what drives it. */
interface Entry {
  readonly job: JobRecord;
  /** Forgets the record. */
  readonly expiry: Alarm;
  /** Ends the run. */
  readonly timeout: Alarm;
  /** Takes the job back from the queue or from the worker. */
  attempt: AbortController;
}

/** The jobs of the API: in the queue, running, and remembered for a while after their end. In memory only. */
export class JobStore {
  readonly #options: JobStoreOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #memory: Memory;
  readonly #ended: Record<EndStatus, number> = {
    COMPLETED: 0,
    FAILED: 0,
    CANCELLED: 0,
    TIMED_OUT: 0,
  };
  #retried = 0;
  #isStopping = false;
  #isClosed = false;

  constructor(options: JobStoreOptions) {
    this.#options = options;
    this.#memory = new Memory(options.settings.memory);
  }

  /** No new jobs are accepted. */
  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** Nobody should wait for anything any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  get counts(): JobCounts {
    const counts = { IN_QUEUE: 0, IN_PROGRESS: 0, ...this.#ended, retried: this.#retried };
    for (const { status } of this.list()) {
      if (status === 'IN_QUEUE' || status === 'IN_PROGRESS') counts[status]++;
    }
    return counts;
  }

  /** What the jobs keep in memory. */
  get bytes(): number {
    return this.#memory.bytes;
  }

  /** In the order they came. */
  list(): JobRecord[] {
    return [...this.#entries.values()].map(({ job }) => job);
  }

  /** @throws WorkerError `queue.full`, `api.stopping` */
  submit(request: RunRequest, kind: RunKind, keepMs = 0): JobRecord {
    if (this.#isStopping) throw stopping();
    this.#makeRoom(request.length);
    const jobId = `${kind === 'runsync' ? 'sync-' : ''}${randomUUID()}-local`;
    const { settings, clock } = this.#options;
    const retentionMs = Math.max(settings.retentionMs[kind], keepMs);
    const job = new JobRecord({
      jobId,
      kind,
      request,
      retentionMs,
      now: clock.now(),
      log: jobLog(this.#options.log, { jobId }),
      onChange: () => this.#count(job),
    });
    const entry = {
      job,
      expiry: new Alarm(clock),
      timeout: new Alarm(clock),
      attempt: new AbortController(),
    };
    this.#entries.set(jobId, entry);
    this.#memory.note(job);
    this.#setExpiry(entry);
    void this.#run(entry);
    return job;
  }

  /** @throws WorkerError `api.job_unknown` */
  get(jobId: string): JobRecord {
    return this.#entry(jobId).job;
  }

  has(jobId: string): boolean {
    return this.#entries.has(jobId);
  }

  /** From now on the job has this long to live, whatever its state. */
  setTtl(jobId: string, ms: number): void {
    const entry = this.#entry(jobId);
    entry.job.ttlEndsAt = this.#options.clock.now() + ms;
    this.#setExpiry(entry);
  }

  /** Changes nothing about a job that has ended. */
  cancel(jobId: string): JobRecord {
    const entry = this.#entry(jobId);
    if (!entry.job.isOver) this.#stop(entry, { status: 'CANCELLED' });
    return entry.job;
  }

  /** @throws WorkerError `api.bad_request`, `queue.full`, `api.stopping` */
  retry(jobId: string): JobRecord {
    const entry = this.#entry(jobId);
    const { job } = entry;
    if (this.#isStopping) throw stopping();
    if (!job.canRetry) throw cannotRetry(job);
    if (this.#options.queue.isFull) throw full('its queue is full');
    this.#retried++;
    job.requeued(this.#options.clock.now());
    this.#setExpiry(entry);
    void this.#run(entry);
    return job;
  }

  /** Removes all jobs that nobody has begun. @returns how many. */
  purge(): number {
    const queued = this.#inQueue();
    for (const entry of queued) this.#forget(entry);
    return queued.length;
  }

  /** From now on no job is accepted; those that nobody has begun fail, so that whoever waits for one is told. */
  stop(): void {
    this.#isStopping = true;
    for (const entry of this.#inQueue()) this.#stop(entry, { status: 'FAILED', error: STOPPED });
  }

  /** Wakes everybody who waits, and forgets all jobs. */
  close(): void {
    this.stop();
    this.#isClosed = true;
    for (const entry of [...this.#entries.values()]) this.#forget(entry);
  }

  async #run(entry: Entry): Promise<void> {
    const { job } = entry;
    const { queue } = this.#options;
    const { signal } = (entry.attempt = new AbortController());
    try {
      const result = await queue.submit(job.toJob(), {
        signal,
        onTaken: () => this.#taken(entry),
        onProgress: (value) => job.progressed(value),
        onPreview: (image) => job.previewed(image),
      });
      if (!signal.aborted) this.#end(entry, endingOf(result));
    } catch (error) {
      if (!signal.aborted) this.#end(entry, { status: 'FAILED', error: describeError(error) });
    }
  }

  /** A job that is forgotten may still have something to say. */
  #count(job: JobRecord): void {
    if (this.has(job.jobId)) this.#memory.note(job);
  }

  #taken(entry: Entry): void {
    const { job, timeout } = entry;
    const { clock, workerId, settings } = this.#options;
    const timeoutMs = job.executionTimeoutMs ?? settings.executionTimeoutMs;
    job.taken(workerId, clock.now());
    const error = `The job ran for ${timeoutMs / 1000} s and was stopped; raise policy.executionTimeout or JOB_TIMEOUT_S if it needs more`;
    timeout.set(timeoutMs, () => this.#stop(entry, { status: 'TIMED_OUT', error }));
  }

  /** Ends a job from outside: the worker is told, and what it may still post is not wanted. */
  #stop(entry: Entry, ending: Ending): void {
    entry.attempt.abort(new WorkerError('job.stopped', `Job ${entry.job.jobId} was stopped`));
    this.#end(entry, ending);
  }

  #end(entry: Entry, ending: Ending): void {
    const { clock, onEnd } = this.#options;
    const { job } = entry;
    entry.timeout.cancel();
    job.ended(ending, clock.now());
    this.#ended[ending.status]++;
    this.#setExpiry(entry);
    void onEnd(job, ending.status).then(() => {
      if (job.isOver && !job.canRetry) job.dropRequest();
      setImmediate(() => this.#trim()); // whoever waits for the job has its result first
    });
  }

  #setExpiry(entry: Entry): void {
    const { job, expiry } = entry;
    const { ttlEndsAt, endedAt, retentionMs } = job;
    const at = endedAt === undefined ? ttlEndsAt : Math.min(ttlEndsAt, endedAt + retentionMs);
    expiry.set(at - this.#options.clock.now(), () => this.#forget(entry));
  }

  #forget(entry: Entry): void {
    const { job } = entry;
    entry.expiry.cancel();
    entry.timeout.cancel();
    this.#entries.delete(job.jobId);
    this.#memory.forget(job);
    entry.attempt.abort(new WorkerError('job.stopped', `Job ${job.jobId} is forgotten`));
    job.changed.notify();
  }

  #makeRoom(bytes: number): void {
    if (this.#options.queue.isFull) throw full('its queue is full');
    if (!this.#memory.makeRoom(bytes)) throw full('its memory is full');
  }

  #trim(): void {
    this.#memory.makeRoom(0);
    for (const { jobId } of this.#memory.tooMany()) this.#forget(this.#entry(jobId));
  }

  #inQueue(): Entry[] {
    return [...this.#entries.values()].filter(({ job }) => job.status === 'IN_QUEUE');
  }

  #entry(jobId: string): Entry {
    const entry = this.#entries.get(jobId);
    if (entry) return entry;
    const text = 'There is no such job: the id is wrong, or the time it is remembered is over';
    throw new WorkerError('api.job_unknown', text);
  }
}

function endingOf({ output, error }: EncodedResult): Ending {
  return { status: error ? 'FAILED' : 'COMPLETED', output, error: error?.message };
}

function cannotRetry({ status }: JobRecord): WorkerError {
  const failed = status === 'FAILED' || status === 'TIMED_OUT';
  const why = failed
    ? 'its input is no longer kept; send it again'
    : `it is ${status}, and only jobs that are FAILED or TIMED_OUT can be tried again`;
  return new WorkerError('api.bad_request', `The job cannot be retried: ${why}`);
}

function full(why: string): WorkerError {
  const text = `The job is not accepted: ${why}; send it again later`;
  return new WorkerError('queue.full', text, { retryAfterMs: FULL_RETRY_MS });
}

const stopping = (): WorkerError =>
  new WorkerError('api.stopping', 'The worker is being stopped and takes no new jobs', {
    retryAfterMs: FULL_RETRY_MS,
  });

const STOPPED = 'The worker was stopped before the job began; send it again';
const FULL_RETRY_MS = 5000;
