import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../lib/clock.ts';
import { describeError, WorkerError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { Job } from '../lib/queues/queue.ts';

/** The phases of a job, in the order they happen. */
export type Phase = 'ready' | 'staged' | 'executed' | 'fetched' | 'converted' | 'delivered';

/** How long each phase took, in milliseconds. */
export type Timings = Readonly<Partial<Record<Phase, number>>>;

export interface JobScopeOptions {
  readonly jobId: string;
  /** Aborted when the platform stops the job. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** When the job fails with `job.timeout`. */
  readonly timeoutMs: number;
}

/** Shared by all steps of one job. Disposing it removes the job's scratch folder. */
export class JobScope implements AsyncDisposable {
  readonly jobId: string;
  readonly log: Logger;
  /** Aborted when the job is stopped, or with a `job.timeout` when its time is up. */
  readonly signal: AbortSignal;
  /** Problems that do not fail the job, in the order they happened. Each step adds its own. */
  readonly problems: string[] = [];
  readonly #timings: Partial<Record<Phase, number>> = {};
  readonly #cancelTimeout: () => void;
  #phaseStartedAt = performance.now();
  #scratchFolder: Promise<string> | undefined;
  #isOver = false;

  constructor({ jobId, signal, log, timeoutMs }: JobScopeOptions) {
    this.jobId = jobId;
    this.log = log;
    const late = new AbortController();
    this.#cancelTimeout = systemClock.after(timeoutMs, () => late.abort(timeoutError(timeoutMs)));
    this.signal = AbortSignal.any([signal, late.signal]);
  }

  get timings(): Timings {
    return this.#timings;
  }

  /** Ends a phase; the next one begins now. @returns how long it took, in milliseconds. */
  endPhase(phase: Phase): number {
    const now = performance.now();
    const ms = Math.round((now - this.#phaseStartedAt) * 10) / 10;
    this.#phaseStartedAt = now;
    this.#timings[phase] = ms;
    return ms;
  }

  /**
   * A new path in the job's scratch folder, for a file too large for memory. Few jobs have such files, so the folder is
   * created with the first path.
   */
  readonly newScratchPath = async (): Promise<string> => {
    if (this.#isOver) throw new TypeError('The job is over and its scratch folder is removed');
    this.#scratchFolder ??= mkdtemp(join(tmpdir(), 'comfyui-worker-job-'));
    return join(await this.#scratchFolder, randomUUID());
  };

  /** Does not throw: the job's result stands whether or not its files can be removed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#cancelTimeout();
    const path = await this.#scratchFolder?.catch(() => undefined);
    if (path === undefined) return;
    try {
      await rm(path, { recursive: true, force: true, maxRetries: 3 });
    } catch (error) {
      const reason = describeError(error);
      this.log.warn({ reason, path }, 'The scratch folder of a job could not be removed');
    }
  }
}

/** The worker's own limit or `policy.executionTimeout` (milliseconds) of the job, whichever is shorter. */
export function timeoutOf({ source }: Pick<Job, 'source'>, limitMs: number): number {
  const asked: unknown = source.get('policy')?.get('executionTimeout')?.value();
  return typeof asked === 'number' && asked > 0 ? Math.min(asked, limitMs) : limitMs;
}

function timeoutError(timeoutMs: number): WorkerError {
  const message = `Job took longer than ${timeoutMs / 1000} s and was stopped; raise policy.executionTimeout or JOB_TIMEOUT_S if it needs more`;
  return new WorkerError('job.timeout', message);
}
