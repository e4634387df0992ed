import type { Clock } from '../clock.ts';
import { describeError, WorkerError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { settlesWithin } from '../waiting.ts';
import { postUntilAccepted } from './delivery.ts';
import type { Handler, Job, JobContext } from '../queues/job.ts';
import type { Outbox } from './outbox.ts';
import { encodePost, type PostBody } from '../queues/post-body.ts';
import { Progress } from './progress.ts';
import type { JobQueue } from '../queues/queue.ts';
import {
  encodeResult,
  toFailureBody,
  toResultBody,
  withRefresh,
  type Reporter,
  type ResultBody,
  type ResultLimit,
} from './result-body.ts';
import { isStream, runStream, type Stream } from './stream.ts';

/** What all runs of a worker share. */
export interface JobRunParts {
  readonly queue: Pick<JobQueue, 'post' | 'previews'>;
  readonly handler: Handler;
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly progressIntervalMs: number;
  readonly deliveryTimeoutMs: number;
  readonly limit: ResultLimit;
  readonly reporter: Reporter;
  readonly refreshWorker: boolean;
  readonly aggregateStream: boolean;
  /** Called once, when the job's place is free. */
  readonly onRelease: () => void;
}

interface Outcome {
  readonly result: ResultBody;
  readonly isStream: boolean;
}

/**
 * One job, from its start until its result is delivered.
 *
 *     running ── release() or settled ──► place is free ── progress ended ──► delivering ──► over
 *        └────── stop() ── settled, or grace is over ──► place is free, nothing posted ──────► over
 */
export class JobRun {
  readonly #job: Job;
  readonly #parts: JobRunParts;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  readonly #stopped = Promise.withResolvers<undefined>();
  readonly #progress: Progress;
  #isReleased = false;
  #isDelivering = false;

  constructor(job: Job, parts: JobRunParts & { readonly log: Logger }) {
    this.#job = job;
    this.#parts = parts;
    this.#log = parts.log;
    this.#progress = new Progress({
      clock: parts.clock,
      intervalMs: parts.progressIntervalMs,
      post: (value, signal) => this.#postProgress(value, signal),
    });
  }

  /** The place is free for another job. */
  get isReleased(): boolean {
    return this.#isReleased;
  }

  /** The result is in the outbox. */
  get isDelivering(): boolean {
    return this.#isDelivering;
  }

  /** Aborts the handler. From now on nothing is posted for the job. */
  stop(why: string): void {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort(
      new WorkerError('job.stopped', `Job ${this.#job.jobId} was stopped: ${why}`),
    );
    this.#stopped.resolve(undefined);
    this.#parts.outbox.drop(this.#job.jobId);
  }

  /** Never rejects. */
  async run(): Promise<void> {
    const startedAt = this.#parts.clock.now();
    this.#log.info('Started.');
    const outcome = await this.#untilSettledOrStopped();
    this.#release();
    await this.#progress.end();
    if (outcome && !this.#isStopped) await this.#deliver(outcome, startedAt);
    else this.#log.info('Job stopped.');
  }

  /** A handler that ignores its signal is waited for no longer than a moment; what it returns later is not looked at. */
  async #untilSettledOrStopped(): Promise<Outcome | undefined> {
    const working = this.#work();
    await Promise.race([working, this.#stopped.promise]);
    if (!this.#isStopped) return working;
    const stillPosting = this.#progress.end();
    await settlesWithin(working, { ms: STOP_GRACE_MS, clock: this.#parts.clock });
    await stillPosting;
    return undefined;
  }

  async #work(): Promise<Outcome> {
    const outcome = await this.#callHandler();
    return { ...outcome, result: withRefresh(outcome.result, this.#parts.refreshWorker) };
  }

  async #callHandler(): Promise<Outcome> {
    try {
      const value: unknown = await this.#parts.handler(this.#job, this.#context());
      if (isStream(value)) return { isStream: true, result: await this.#stream(value) };
      return { isStream: false, result: toResultBody(value) };
    } catch (error) {
      if (!this.#isStopped) this.#log.error({ err: error }, 'The handler threw');
      return { isStream: false, result: toFailureBody(error, this.#parts.reporter) };
    }
  }

  #context(): JobContext {
    const preview = this.#parts.queue.previews?.(this.#job.jobId);
    return {
      ...(preview && { preview }),
      signal: this.#stopping.signal,
      log: this.#log,
      progress: (value) => this.#progress.update(value),
      release: () => this.#release(),
    };
  }

  #stream(stream: Stream): Promise<ResultBody> {
    const { queue, clock, deliveryTimeoutMs: timeoutMs, aggregateStream } = this.#parts;
    const { signal } = this.#stopping;
    const post = async (chunk: PostBody) => {
      const options = { queue, clock, timeoutMs, signal, kind: 'chunk' } as const;
      await postUntilAccepted(this.#job.jobId, chunk, options);
    };
    return runStream(stream, { post, aggregate: aggregateStream, signal });
  }

  async #deliver({ result, isStream }: Outcome, startedAt: number): Promise<void> {
    const { outbox, clock, limit } = this.#parts;
    const ranMs = clock.now() - startedAt;
    const body = encodeResult(result, limit);
    const { jobId } = this.#job;
    this.#isDelivering = true;
    const fate = await outbox.deliver({ jobId, isStream, body, log: this.#log });
    const postMs = clock.now() - startedAt - ranMs;
    this.#log.info(
      { fate, failed: 'error' in result, bytes: body.bytes, ranMs, postMs },
      'Finished.',
    );
  }

  async #postProgress(output: unknown, signal: AbortSignal): Promise<void> {
    try {
      const body = encodePost({ status: 'IN_PROGRESS', output: output ?? null });
      await this.#parts.queue.post(this.#job.jobId, body, { kind: 'progress', signal });
    } catch (error) {
      this.#log.debug({ reason: describeError(error) }, 'A progress post failed and is left out');
    }
  }

  get #isStopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  #release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#parts.onRelease();
  }
}

/** How long a stopped handler keeps its place. */
const STOP_GRACE_MS = 5000;
