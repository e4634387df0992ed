import { ERROR_KINDS, type ErrorCode, type Owner } from '../errors.ts';
import { withoutPaths } from '../http/redact.ts';
import type { JsonBody } from '../json-body.ts';
import type { JsonText } from '../json.ts';
import type { Logger } from '../log.ts';

/*
 * The contract between the worker, the queues it takes jobs from, and the handler that does the jobs. Nothing in here
 * belongs to one platform: `runpod/` and `local/` implement it, and each writes results in the form its own clients read.
 */

/** One unit of work. */
export interface Job {
  readonly jobId: string;
  /** `input` as it was sent. */
  readonly input: JsonText;
  /** The whole job object as it was sent (`webhook`, `policy`, `s3Config`, ...). */
  readonly source: JsonText;
  /** Id of the batch the job belongs to, if any; prefixes its log lines. */
  readonly batchId?: string;
  /** To be called when nothing reads `input` and `source` any more: their memory may then be used for another job. */
  readonly release?: () => void;
}

/** One item of an answer to `take`: a job, or an item that cannot be read as one. */
export type Taken =
  | { readonly kind: 'job'; readonly job: Job }
  | {
      readonly kind: 'broken';
      /** Absent when not even the id could be read; then no result can be posted. */
      readonly jobId?: string;
      readonly problem: string;
    };

/** Does a job. An error that it throws is logged and reported as `worker.unexpected`. */
export type Handler = (job: Job, context: JobContext) => Promise<JobResult>;

/** The worker's side of a running job, as the handler sees it. */
export interface JobContext {
  /** Aborted when the job is stopped; the reason is a `WorkerError` with code `job.stopped`. */
  readonly signal: AbortSignal;
  /** The job's own log: every line carries `requestId`. */
  readonly log: Logger;
  /**
   * Reports how far the job is. Returns at once. The latest value wins; at most one post per interval, none after the
   * result.
   */
  progress(value: unknown): void;
  /** Shows an unfinished image. Returns at once; the latest image wins. Absent when nobody watches the job. */
  readonly preview?: (image: PreviewImage) => void;
  /** Gives the job's slot to the next job before this one has its result. Later calls do nothing. */
  releaseSlot(): void;
}

/** An unfinished image of a running job. */
export interface PreviewImage {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  /** The node that makes the image, if known. */
  readonly nodeId?: string;
}

/** The outcome of a job, as the handler returns it. A job with an `error` has failed, whatever `output` holds. */
export interface JobResult {
  /** Any JSON value; `Base64` leaves are allowed anywhere in it. */
  readonly output?: unknown;
  readonly error?: JobError;
  /** Asks the platform to replace this worker by a fresh one. */
  readonly freshWorker?: boolean;
}

/** Why a job failed. `retryable` and `owner` come from the error table in `lib/errors.ts`. */
export interface JobError {
  readonly code: ErrorCode;
  readonly message: string;
  /** Whether the same job may succeed when it is sent again. */
  readonly retryable: boolean;
  readonly owner: Owner;
  /** Present when the handler threw: class name and stack of the error, without file paths. */
  readonly thrown?: { readonly type: string; readonly trace: string };
}

/** An error with the properties of its code. Callers see its message, so folders of the server are left out. */
export function toJobError(code: ErrorCode, message: string): JobError {
  const { retryable, owner } = ERROR_KINDS[code];
  return { code, message: withoutPaths(message), retryable, owner };
}

/** A result whose output is serialized already, so that it can be posted again without the work of encoding it. */
export interface EncodedResult {
  readonly output?: JsonBody;
  readonly error?: JobError;
  readonly freshWorker?: boolean;
}

/** One message about a job. A `result` ends the job; `progress` may come before it, any number of times. */
export type JobUpdate =
  | { readonly kind: 'progress'; readonly value: JsonBody }
  | { readonly kind: 'result'; readonly result: EncodedResult };

/** Where jobs come from and results go to: RunPod's HTTP endpoints, a queue in memory, or any queue added later. */
export interface JobQueue {
  /** Whether the platform replaces a worker whose result asks for it. False when left out. */
  readonly replacesWorkers?: boolean;

  /**
   * Asks for up to `limit` jobs and waits for them as long as the queue likes; empty when none came. May return more
   * jobs than asked for. A job that has arrived when `signal` aborts is still returned.
   * @throws WorkerError `platform.take_failed` (the worker asks again, not before `retryAfterMs`), or the reason of `signal`.
   */
  take(request: TakeRequest): Promise<readonly Taken[]>;

  /**
   * Makes one attempt to post an update. Resolves when the platform has it.
   * @throws WorkerError `platform.post_failed` (retry, not before `retryAfterMs`), `platform.post_refused` (do not retry
   * this update), `platform.job_unknown` (nobody waits for the job any more), or the reason of `signal`.
   */
  post(jobId: string, update: JobUpdate, options: { readonly signal: AbortSignal }): Promise<void>;

  /**
   * Ids of jobs that the platform wants stopped, as they arrive. Ends, or throws the reason, when `signal` aborts. Retries
   * on its own. Absent when the queue cannot stop jobs.
   */
  stops?(signal: AbortSignal): AsyncIterable<readonly string[]>;

  /** Receiver of the preview images of a running job; undefined when nobody watches it. */
  previewListener?(jobId: string): ((image: PreviewImage) => void) | undefined;

  /** Called when the worker no longer holds the job, however it ended. A job with the same id may be handed over again. */
  jobEnded?(jobId: string): void;
}

export interface TakeRequest {
  readonly limit: number;
  /** Whether the worker holds any job now. */
  readonly busy: boolean;
  readonly signal: AbortSignal;
}
