import type { Clock } from '../clock.ts';
import { describeError, WorkerError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { settlesWithin } from '../waiting.ts';
import type { Outbox } from './outbox.ts';
import { Progress } from './progress.ts';
import {
  resultBytes,
  type Handler,
  type Job,
  type JobContext,
  type JobQueue,
  type JobResult,
} from '../queues/queue.ts';
import { measureJson } from '../json-body.ts';
import { encodeResult, toThrownResult, type ResultLimit } from './result.ts';

/** What all runs of a worker share. */
export interface JobRunParts {
  readonly queue: Pick<JobQueue, 'post' | 'previewListener'>;
  readonly handler: Handler;
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly progressIntervalMs: number;
  readonly limit: ResultLimit;
  readonly refreshWorker: boolean;
  /** Called once, when the job's place is free. */
  readonly onRelease: () => void;
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
    const result = await this.#untilSettledOrStopped();
    this.#release();
    await this.#progress.end();
    if (result && !this.#isStopped) await this.#deliver(result, startedAt);
    else this.#log.info('Job stopped.');
  }

  /** A handler that ignores its signal is waited for no longer than a moment; what it returns later is not looked at. */
  async #untilSettledOrStopped(): Promise<JobResult | undefined> {
    const working = this.#callHandler();
    await Promise.race([working, this.#stopped.promise]);
    if (!this.#isStopped) return working;
    const stillPosting = this.#progress.end();
    await settlesWithin(working, { ms: STOP_GRACE_MS, clock: this.#parts.clock });
    await stillPosting;
    return undefined;
  }

  async #callHandler(): Promise<JobResult> {
    try {
      return await this.#parts.handler(this.#job, this.#context());
    } catch (error) {
      if (!this.#isStopped) this.#log.error({ err: error }, 'The handler threw');
      return toThrownResult(error);
    }
  }

  #context(): JobContext {
    const preview = this.#parts.queue.previewListener?.(this.#job.jobId);
    return {
      ...(preview && { preview }),
      signal: this.#stopping.signal,
      log: this.#log,
      progress: (value) => this.#progress.update(value),
      releaseSlot: () => this.#release(),
    };
  }

  async #deliver(result: JobResult, startedAt: number): Promise<void> {
    const { outbox, clock, limit, refreshWorker } = this.#parts;
    const ranMs = clock.now() - startedAt;
    const encoded = encodeResult({ ...result, ...(refreshWorker && { freshWorker: true }) }, limit);
    const bytes = resultBytes(encoded.output, encoded);
    const { jobId } = this.#job;
    this.#isDelivering = true;
    const fate = await outbox.deliver({ jobId, result: encoded, bytes, log: this.#log });
    const postMs = clock.now() - startedAt - ranMs;
    this.#log.info({ fate, failed: result.error !== undefined, bytes, ranMs, postMs }, 'Finished.');
  }

  async #postProgress(output: unknown, signal: AbortSignal): Promise<void> {
    try {
      const value = measureJson(output ?? null).encode();
      await this.#parts.queue.post(this.#job.jobId, { kind: 'progress', value }, { signal });
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
