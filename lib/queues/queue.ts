import type { PreviewImage, Taken } from './job.ts';
import type { PostBody } from './post-body.ts';

/**
 * Where jobs come from and results go to. The worker knows nothing else of the platform: behind this stand RunPod's HTTP
 * endpoints, a queue in memory, or whatever is added later.
 */
export interface JobQueue {
  /**
   * Asks for up to `limit` jobs and waits, as long as the queue likes, until some come; empty when none came. May give
   * more than asked for. A job that has arrived when `signal` aborts is still given.
   * @throws WorkerError `platform.take_failed` (asked again after a delay, or after its `retryAfterMs`), or the reason of `signal`.
   */
  take(request: TakeRequest): Promise<readonly Taken[]>;

  /**
   * Posts something about a job, once: whoever calls repeats it. Resolves when the platform has it.
   * @throws WorkerError `platform.post_failed` (try again, not before its `retryAfterMs`), `platform.post_refused` (never
   * in this form), `platform.job_unknown` (nobody waits for it any more), or the reason of `signal`.
   */
  post(jobId: string, body: PostBody, request: PostRequest): Promise<void>;

  /**
   * Ids of jobs the platform wants stopped, as they come in, until `signal` aborts; then it ends or throws the reason.
   * Keeps its own pace and survives errors. Absent when the queue has no such channel.
   */
  stops?(signal: AbortSignal): AsyncIterable<readonly string[]>;

  /** Where pictures of a running job go; undefined when nobody wants any of this one. Must return at once. */
  previews?(jobId: string): ((image: PreviewImage) => void) | undefined;

  /** The worker no longer holds the job, whatever became of it: one of the same id may be handed over again. */
  released?(jobId: string): void;
}

export interface TakeRequest {
  readonly limit: number;
  /** Whether the worker holds any job now. */
  readonly busy: boolean;
  readonly signal: AbortSignal;
}

export interface PostRequest {
  readonly kind: PostKind;
  /** With a result: its values were streamed. */
  readonly isStream?: boolean;
  readonly signal: AbortSignal;
}

/** `result` ends the job; `progress` is told while it runs; a `chunk` is one value of a streaming handler. */
export type PostKind = 'result' | 'progress' | 'chunk';
