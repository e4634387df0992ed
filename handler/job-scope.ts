import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../lib/clock.ts';
import type { Progress, PromptFailure } from '../lib/comfy/backend.ts';
import { describeError, WorkerError, MAX_LINES, shownLines } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { Job } from '../lib/queues/queue.ts';
import type { FileLedger, LedgerPage } from './job-folder/file-ledger.ts';

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
  /** Names the scratch folder for the next worker, should this one be killed. */
  readonly ledger?: Pick<FileLedger, 'openPage'>;
}

/** The part of a job's scope that steps after the prompt use. Its signal is that of {@link JobScope.startDelivery}. */
export type DeliveryScope = Pick<
  JobScope,
  'jobId' | 'log' | 'signal' | 'problems' | 'newScratchPath'
>;

export interface StoreDeadline {
  /** When stores have to be done, by `systemClock`: files that they did not take by then may still fit into the result. */
  readonly storeUntil: number;
}

/** Shared by all steps of one job. Disposing it removes the job's scratch folder. */
export class JobScope implements AsyncDisposable {
  readonly jobId: string;
  readonly log: Logger;
  /** Aborted when the job is stopped, or with a `job.timeout` when its time is up. */
  readonly signal: AbortSignal;
  /** Problems that do not fail the job, in the order they happened. Each step adds its own. */
  readonly problems: string[] = [];
  /** Set when only another machine can run jobs. */
  needsFreshMachine = false;
  /** How far the current attempt is in ComfyUI; undefined before its workflow began to run. */
  progress: Progress | undefined;
  /** Report on the prompt of the current attempt, if it did not succeed. */
  promptFailure: PromptFailure | undefined;
  readonly #notes: string[] = [];
  #noteCount = 0;
  readonly #timings: Partial<Record<Phase, number>> = {};
  readonly #stopped: AbortSignal;
  readonly #late = new AbortController();
  readonly #timers = new DisposableStack();
  readonly #endsAt: number;
  readonly #scratchPage: LedgerPage | undefined;
  #attempts = 1;
  /** The last one that the current attempt has ended. */
  #lastPhase: Phase | undefined;
  #phaseStartedAt = performance.now();
  #scratchFolder: Promise<string> | undefined;
  #isOver = false;

  constructor({ jobId, signal, log, timeoutMs, ledger }: JobScopeOptions) {
    this.#scratchPage = ledger?.openPage('files');
    this.jobId = jobId;
    this.log = log;
    this.#stopped = signal;
    this.#endsAt = systemClock.now() + timeoutMs;
    const abort = () => this.#late.abort(timeoutError(timeoutMs, this.#whereItStands()));
    this.#timers.defer(systemClock.after(timeoutMs, abort));
    this.signal = AbortSignal.any([signal, this.#late.signal]);
  }

  /** The error of a job whose time is up; undefined while it has time. */
  get timeout(): WorkerError | undefined {
    return this.#late.signal.aborted ? (this.#late.signal.reason as WorkerError) : undefined;
  }

  /** `while it ran, at node 3 (KSampler), step 4 of 20, 35 %`. */
  #whereItStands(): string {
    if (this.#lastPhase === undefined) return 'while it waited for ComfyUI';
    if (this.#lastPhase === 'ready') return 'while its input files were loaded';
    if (this.#lastPhase !== 'staged') return 'while its files were delivered';
    if (!this.progress) return 'before its workflow began to run';
    const { node, nodeTitle, step, steps, percent } = this.progress;
    const shownStep = step === undefined ? '' : `, step ${step} of ${steps ?? '?'}`;
    return `while it ran, at node ${node} (${nodeTitle})${shownStep}, ${percent} %`;
  }

  /**
   * To be called when the prompt has ended or was given up. A job whose time is up still delivers what was made: the signal
   * of this scope aborts when the job is stopped, or {@link DELIVERY_GRACE_MS} after the later of two moments: this call,
   * and the end of the job's time.
   */
  startDelivery(): DeliveryScope & StoreDeadline {
    const { jobId, log, problems, newScratchPath } = this;
    const tooLate = new AbortController();
    const now = systemClock.now();
    const ms = Math.max(now, this.#endsAt) - now + DELIVERY_GRACE_MS;
    this.#timers.defer(systemClock.after(ms, () => tooLate.abort(this.timeout)));
    const signal = AbortSignal.any([this.#stopped, tooLate.signal]);
    const storeUntil = now + ms - INLINE_MS;
    return { jobId, log, problems, newScratchPath, signal, storeUntil };
  }

  get timings(): Timings {
    return this.#timings;
  }

  /** How often the workflow was run, or at least begun. */
  get attempts(): number {
    return this.#attempts;
  }

  /** The workflow is run, for the `number`th time; a run for want of cached files does not count. Forgets how the last one went. */
  startAttempt(number: number): void {
    this.#attempts = number;
    this.#lastPhase = this.progress = this.promptFailure = undefined;
  }

  /** Remarks on how the job was read, and how many more there were. Listed in the result if the caller asks for details. */
  get notes(): readonly string[] {
    return shownLines(this.#notes, this.#noteCount);
  }

  /** Adds to {@link notes}, each text once, and to the log. */
  readonly note = (text: string): void => {
    if (this.#notes.includes(text)) return;
    this.#noteCount++;
    if (this.#notes.length === MAX_LINES) return;
    this.#notes.push(text);
    this.log.info({ note: text }, 'A note on the job');
  };

  /**
   * Ends a phase, which began when the one before ended: it contains the small steps in between (`staged`: also resolving
   * the workflow; `executed`: also the check). A second run of the workflow overwrites the first.
   * @returns how long the phase took, in milliseconds.
   */
  endPhase(phase: Phase): number {
    const now = performance.now();
    const ms = Math.round((now - this.#phaseStartedAt) * 10) / 10;
    this.#phaseStartedAt = now;
    this.#timings[phase] = ms;
    this.#lastPhase = phase;
    return ms;
  }

  /**
   * A new path in the job's scratch folder, for a file too large for memory. Few jobs have such files, so the folder is
   * created with the first path.
   */
  readonly newScratchPath = async (): Promise<string> => {
    if (this.#isOver) throw new TypeError('The job is over and its scratch folder is removed');
    this.#scratchFolder ??= this.#newScratchFolder();
    return join(await this.#scratchFolder, randomUUID());
  };

  async #newScratchFolder(): Promise<string> {
    const [root, path] = [tmpdir(), `comfyui-worker-job-${randomUUID()}`];
    await this.#scratchPage?.add([{ root, path, isOwn: true }]);
    await mkdir(join(root, path), { mode: 0o700 });
    return join(root, path);
  }

  /** Does not throw: the job's result stands whether or not its files can be removed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#timers.dispose();
    const path = await this.#scratchFolder?.catch(() => undefined);
    if (path === undefined) return;
    try {
      await rm(path, { recursive: true, force: true, maxRetries: 3 });
      await this.#scratchPage?.close();
    } catch (error) {
      const reason = describeError(error);
      this.log.warn({ reason, path }, 'The scratch folder of a job could not be removed');
    }
  }
}

/** Time to fetch and deliver the files of a job that was cut short. */
const DELIVERY_GRACE_MS = 30_000;
/** The end of that time, in which no store is waited for. */
const INLINE_MS = 10_000;

/**
 * The shortest of the worker's own limit, `policy.executionTimeout` (milliseconds) of the job and `timeout_s` of its input.
 * Other values than positive numbers are ignored here; `parseInput` refuses them in the input.
 */
export function timeoutOf(
  { source, input }: Pick<Job, 'source' | 'input'>,
  limitMs: number,
): number {
  const policyMs: unknown = source.get('policy')?.get('executionTimeout')?.value();
  const inputS: unknown = input.kind === 'object' ? input.get('timeout_s')?.value() : undefined;
  const asked = [policyMs, typeof inputS === 'number' ? inputS * 1000 : undefined];
  return Math.min(limitMs, ...(asked.filter((ms) => typeof ms === 'number' && ms > 0) as number[]));
}

function timeoutError(timeoutMs: number, where: string): WorkerError {
  const message = `Job took longer than ${Math.round(timeoutMs) / 1000} s and was stopped ${where}; raise timeout_s, policy.executionTimeout or JOB_TIMEOUT_S if it needs more`;
  return new WorkerError('job.timeout', message);
}
