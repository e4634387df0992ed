import type { JsonBody } from '../../json-body.ts';
import type { JsonText } from '../../json.ts';
import type { JobError, PreviewImage } from '../../queues/queue.ts';

/**
 * The jobs behind an HTTP API: in the queue, running, and remembered for a while after their end. An API submits jobs, reads them
 * and answers in its own format; nothing here belongs to one API. `MemoryJobStore` is the store that ships. A store on disk or
 * on a server may return promises everywhere.
 */
export interface JobStore {
  /** True after {@link stop}: new jobs are refused. */
  readonly isStopping: boolean;

  /** @throws WorkerError `queue.full`, `api.stopping` */
  submit(job: NewJob): Awaitable<StoredJob>;

  /** @throws WorkerError `api.job_unknown` */
  get(jobId: string): Awaitable<StoredJob>;

  /** The latest jobs, newest first. */
  latest(limit: number): Awaitable<readonly StoredJob[]>;

  /**
   * Waits until the job satisfies `isReady`, at most `ms`. Returns early when `signal` aborts or the store is closed.
   * @throws WorkerError `api.job_unknown`, also when the job expires meanwhile.
   */
  watch(
    jobId: string,
    isReady: (job: StoredJob) => boolean,
    options: { readonly ms: number; readonly signal: AbortSignal },
  ): Awaitable<StoredJob>;

  /**
   * Progress and previews since the last call. Each update is returned once, and only the latest of its kind is kept.
   * @throws WorkerError `api.job_unknown`
   */
  takeUpdates(jobId: string, kinds: ReadonlySet<UpdateKind>): Awaitable<readonly LiveUpdate[]>;

  /** Changes how long the job lives from now on, in any state. @throws WorkerError `api.job_unknown` */
  setTtl(jobId: string, ttlMs: number): Awaitable<void>;

  /** Stops the job. A job that has ended stays as it is. @throws WorkerError `api.job_unknown` */
  cancel(jobId: string): Awaitable<StoredJob>;

  /**
   * Queues a job that failed or timed out once more, under its id.
   * @throws WorkerError `api.job_unknown`, `api.bad_request`, `queue.full`, `api.stopping`
   */
  retry(jobId: string): Awaitable<StoredJob>;

  /** Cancels all jobs that have not started. @returns how many. */
  purge(): Awaitable<number>;

  counts(): Awaitable<JobCounts>;

  /** Bytes of memory that the jobs use, approximately. */
  bytes(): Awaitable<number>;

  /** Refuses new jobs. Jobs that have not started fail, so that their callers get an answer; running jobs go on. */
  stop(): void;

  /** Ends all calls to {@link watch} and forgets all jobs. */
  close(): Awaitable<void>;
}

type Awaitable<T> = T | Promise<T>;

export interface NewJob {
  /** Unique; chosen by the API, whose clients may read something from it. */
  readonly jobId: string;
  /** Handed to the worker as it was sent. */
  readonly input: JsonText;
  /** The whole request as it was sent: the worker finds options beside the input in it (`s3Config`). */
  readonly source: JsonText;
  /** Characters of the document that `source` keeps in memory. */
  readonly sourceLength: number;
  readonly policy: JobPolicy;
  /** Called when the job ends, also after a retry. The request is kept until the returned promise settles; it must not reject. */
  readonly onEnd?: (job: StoredJob) => Promise<void>;
}

/** All times are in milliseconds. */
export interface JobPolicy {
  /** The job is deleted this long after it was submitted, in any state. */
  readonly ttlMs: number;
  /** The job is stopped when it has run this long. */
  readonly executionTimeoutMs: number;
  /** The job is forgotten this long after its end. */
  readonly retentionMs: number;
}

/**
 *     queued ──── taken ───► running ─── result ──► completed, failed
 *        │  ▲                   │ └── executionTimeout ──► timed_out
 *        │  └── retry, from failed and timed_out
 *        └── cancel, purge ──► cancelled ◄── cancel
 *
 * A job that has expired has no state: its record is gone.
 */
export type JobStatus = 'queued' | 'running' | EndStatus;
export type EndStatus = 'completed' | 'failed' | 'cancelled' | 'timed_out';

/** Jobs by status: those there now, and all that have ended since the start. `retried` counts calls of `retry`. */
export type JobCounts = Readonly<Record<JobStatus | 'retried', number>>;

/** A job as the store knows it now. It may change later, so it is read at once. Times are milliseconds of the store's clock. */
export interface StoredJob {
  readonly jobId: string;
  readonly status: JobStatus;
  readonly isOver: boolean;
  readonly queuedAt: number;
  readonly startedAt: number | undefined;
  readonly endedAt: number | undefined;
  /** The worker that runs the job, or ran it. */
  readonly workerId: string | undefined;
  readonly retries: number;
  /** As it was sent; undefined once it is no longer kept. */
  readonly input: JsonText | undefined;
  /** The result as it was encoded by the worker; while the job runs, its latest progress. */
  readonly output: JsonBody | undefined;
  readonly error: JobError | undefined;
  /** Size of an output that was dropped to save memory. */
  readonly droppedBytes: number | undefined;
  /** Whether {@link JobStore.takeUpdates} would return anything. */
  hasUpdates(kinds: ReadonlySet<UpdateKind>): boolean;
}

export type LiveUpdate =
  | { readonly kind: 'progress'; readonly value: JsonBody }
  | { readonly kind: 'preview'; readonly image: PreviewImage };

export type UpdateKind = LiveUpdate['kind'];
