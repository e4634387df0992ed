import type { Clock } from '../clock.ts';
import { describeError, WorkerError } from '../errors.ts';
import { measureJson } from '../json-body.ts';
import type { Logger } from '../log.ts';
import type { EncodedResult, Handler, Job, JobQueue, JobResult } from '../queues/queue.ts';
import { settlesWithin } from '../waiting.ts';
import type { Outbox } from './outbox.ts';
import { ProgressPosts } from './progress-posts.ts';
import { encodeResult, resultBytes, toThrownResult, type ResultLimit } from './encode-result.ts';

export interface JobRunOptions {
  readonly queue: Pick<JobQueue, 'post' | 'previewListener' | 'jobEnded'>;
  readonly handler: Handler;
  readonly outbox: Outbox;
  readonly clock: Clock;
  /** The job's own log. */
  readonly log: Logger;
  readonly progressIntervalMs: number;
  readonly limit: ResultLimit;
  /** Whether the worker is to be replaced after this result. */
  readonly isRefreshDue: (result: JobResult) => boolean;
  /** Resolves to true when no other result will follow. Called only when the worker is to be replaced. */
  readonly isLastResult: (jobId: string) => Promise<boolean>;
  /** Called once, when the job's slot is free. */
  readonly onSlotReleased: () => void;
}

export type RunState =
  | { readonly kind: 'running' }
  /** `resultBytes`: size of the result; 0: not known yet, because the handler still works. */
  | { readonly kind: 'slot released'; readonly resultBytes: number }
  | { readonly kind: 'posting' }
  | { readonly kind: 'stopped'; readonly hasSlot: boolean }
  | { readonly kind: 'over' };

export function hasSlot(state: RunState): boolean {
  return state.kind === 'running' || (state.kind === 'stopped' && state.hasSlot);
}

/**
 * One job, from its start until its result is posted.
 *
 *     running ── releaseSlot(), or the handler returned ──► slot released ── progress ended ──► posting ──► over
 *        │                                                       │                                          ▲
 *        └── stop() ──────────────────────► stopped ◄────────────┘                                          │
 *                                              └── the handler returned, or its grace is over; no result ───┘
 */
export class JobRun {
  readonly #job: Job;
  readonly #options: JobRunOptions;
  readonly #log: Logger;
  readonly #abort = new AbortController();
  readonly #stopped = Promise.withResolvers<undefined>();
  readonly #progress: ProgressPosts;
  #state: RunState = { kind: 'running' };

  constructor(job: Job, options: JobRunOptions) {
    const { clock, log, queue, progressIntervalMs: intervalMs } = options;
    this.#job = job;
    this.#options = options;
    this.#log = log;
    const post = async (progress: unknown, signal: AbortSignal) => {
      try {
        const value = measureJson(progress ?? null).encode();
        await queue.post(job.jobId, { kind: 'progress', value }, { signal });
      } catch (error) {
        log.debug({ reason: describeError(error) }, 'A progress post failed and is skipped');
      }
    };
    this.#progress = new ProgressPosts({ clock, intervalMs, post });
  }

  get state(): RunState {
    return this.#state;
  }

  /** False when nothing is left to do but to post the result. */
  get isWorking(): boolean {
    return this.#state.kind !== 'posting' && this.#state.kind !== 'over';
  }

  /**
   * Aborts the handler. From now on nothing is posted for the job. A result that is being posted is given up by the outbox;
   * the state stays as it is until then.
   */
  stop(reason: string): void {
    if (this.#abort.signal.aborted) return;
    const { jobId } = this.#job;
    this.#abort.abort(new WorkerError('job.stopped', `Job ${jobId} was stopped: ${reason}`));
    if (this.isWorking) this.#become({ kind: 'stopped', hasSlot: hasSlot(this.#state) });
    this.#stopped.resolve(undefined);
    this.#options.outbox.drop(jobId);
  }

  /** Resolves when the job is over; never rejects. */
  async start(): Promise<void> {
    const { clock } = this.#options;
    const startedAt = clock.now();
    this.#log.info('Started.');
    const handling = this.#callHandler();
    const returned = await Promise.race([handling, this.#stopped.promise]);
    if (returned && !this.#abort.signal.aborted) {
      const { freshWorker, result } = this.#encode(returned);
      this.#releaseSlot(resultBytes(result.output, result));
      await this.#progress.end();
      const isLast = freshWorker && (await this.#options.isLastResult(this.#job.jobId));
      await this.#postResult({ ...result, freshWorker: isLast }, startedAt);
    } else {
      // A handler that ignores its signal keeps its slot for a moment only; its late result is not used.
      const progressEnded = this.#progress.end();
      await settlesWithin(handling, { ms: STOP_GRACE_MS, clock });
      await progressEnded;
    }
    if (this.#state.kind === 'stopped') this.#log.info('Job stopped.');
    this.#become({ kind: 'over' });
  }

  /** `freshWorker`: the result asks for a fresh worker, unless other results follow. */
  #encode(returned: JobResult): { freshWorker: boolean; result: EncodedResult } {
    const { limit, isRefreshDue } = this.#options;
    const freshWorker = isRefreshDue(returned);
    return { freshWorker, result: encodeResult({ ...returned, freshWorker }, limit) };
  }

  async #callHandler(): Promise<JobResult> {
    const preview = this.#options.queue.previewListener?.(this.#job.jobId);
    try {
      return await this.#options.handler(this.#job, {
        signal: this.#abort.signal,
        log: this.#log,
        progress: (value) => this.#progress.update(value),
        ...(preview && { preview }),
        releaseSlot: () => this.#releaseSlot(0),
      });
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#log.error({ err: error }, 'The handler threw');
      return toThrownResult(error);
    }
  }

  async #postResult(result: EncodedResult, startedAt: number): Promise<void> {
    const { outbox, clock } = this.#options;
    const ranMs = clock.now() - startedAt;
    if (this.#state.kind === 'stopped') return;
    this.#become({ kind: 'posting' });
    const fate = await outbox.post({ jobId: this.#job.jobId, result, log: this.#log });
    const postMs = clock.now() - startedAt - ranMs;
    const bytes = resultBytes(result.output, result);
    const failed = result.error !== undefined;
    this.#log.info({ fate, failed, bytes, ranMs, postMs }, 'Finished.');
  }

  /**
   * Called twice when the handler released its slot early: the second call brings the size of the result.
   * @param resultBytes 0: not known yet.
   */
  #releaseSlot(resultBytes: number): void {
    const { kind } = this.#state;
    if (kind === 'stopped') this.#become({ kind, hasSlot: false });
    else if (kind === 'running' || resultBytes > 0) {
      this.#become({ kind: 'slot released', resultBytes });
    }
  }

  /** The only place where the state changes. */
  #become(next: RunState): void {
    const last = this.#state;
    this.#log.debug({ from: last.kind, to: next.kind }, 'The state of the job changed');
    this.#state = next;
    if (hasSlot(last) && !hasSlot(next)) this.#options.onSlotReleased();
  }
}

/** How long a stopped handler keeps its slot. */
const STOP_GRACE_MS = 5000;
