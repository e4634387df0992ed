import type { Clock } from '../clock.ts';
import { jobLog, type Logger } from '../log.ts';
import type { Outbox } from './outbox.ts';
import type { Spool } from './spool.ts';

interface LateResultsOptions {
  readonly spool: Spool;
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly log: Logger;
  /** Ids of the jobs that run, or whose result is being posted; their files on disk are not late. */
  readonly heldJobIds: () => readonly string[];
}

/**
 * Results on disk that nobody posts: an earlier worker left them, or this one could not post them within
 * `RESULT_DELIVERY_TIMEOUT_S`. Each gets one attempt at the start, and one whenever the platform shows that it is well.
 */
export class LateResults {
  readonly #options: LateResultsOptions;
  #looking: Promise<void> | undefined;
  #nextLookAt = -Infinity;
  #isOver = false;

  constructor(options: LateResultsOptions) {
    this.#options = options;
  }

  /** To be called when the platform has taken a result: it may take others as well. */
  resultDelivered(): void {
    if (!this.#isOver) void this.#look();
  }

  /** To be called when the platform has answered anything. Leads to a look at most once in ten seconds. */
  platformAnswered(): void {
    if (this.#options.clock.now() >= this.#nextLookAt) this.resultDelivered();
  }

  /** The last attempts. Resolves when each late result is posted, or stays on disk. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#looking;
    await this.#look();
  }

  async #look(): Promise<void> {
    this.#looking ??= this.#postAll().finally(() => {
      this.#looking = undefined;
      this.#nextLookAt = this.#options.clock.now() + LOOK_INTERVAL_MS;
    });
    await this.#looking;
  }

  /** One after the other, so that one at a time is in memory. */
  async #postAll(): Promise<void> {
    const { spool, outbox, log, heldJobIds } = this.#options;
    for await (const { jobId, result } of spool.leftovers(heldJobIds)) {
      if (outbox.isFull()) return;
      // While the file was read, its job may have been taken again, or its result posted.
      if (heldJobIds().includes(jobId) || !spool.has(jobId)) continue;
      const jobsLog = jobLog(log, { jobId });
      jobsLog.info('A result on disk is posted');
      await outbox.post({ jobId, result, log: jobsLog, onDisk: 'late' });
    }
  }
}

const LOOK_INTERVAL_MS = 10_000;
