import { jobLog, type Logger } from '../log.ts';
import type { Outbox } from './outbox.ts';
import type { Spool, SpooledResult } from './spool.ts';

export interface LeftoversOptions {
  readonly spool: Spool;
  readonly outbox: Outbox;
  readonly log: Logger;
  /** Whether the worker has the job, or its result. */
  readonly isHeld: (jobId: string) => boolean;
  /** Waits until one more result may wait to be posted; false when the worker is ending. */
  readonly room: () => Promise<boolean>;
}

/**
 * Results on disk that an earlier worker could not deliver. A job with one is not run again; a job that is taken before its
 * leftover is found does run, and the leftover is dropped.
 */
export class Leftovers {
  readonly #options: LeftoversOptions;
  /** While the disk is still read; a job taken then may even have ended before its leftover is found. */
  #takenMeanwhile: Set<string> | undefined = new Set();

  constructor(options: LeftoversOptions) {
    this.#options = options;
  }

  /** The platform has given this job: it runs, and what is left of an earlier run is out of date. */
  taken(jobId: string): void {
    this.#takenMeanwhile?.add(jobId);
  }

  /** Hands them to the outbox, one by one. */
  async post(): Promise<void> {
    const { spool, room } = this.#options;
    for await (const result of spool.left()) {
      if (!(await room())) return;
      if (this.#isOutdated(result)) await this.#drop(result);
      else this.#deliver(result);
    }
    this.#takenMeanwhile = undefined;
  }

  #isOutdated({ jobId }: SpooledResult): boolean {
    return this.#options.isHeld(jobId) || this.#takenMeanwhile?.has(jobId) === true;
  }

  #deliver(result: SpooledResult): void {
    const log = jobLog(this.#options.log, result);
    log.info({ bytes: result.bytes }, 'A result of an earlier worker is posted');
    void this.#options.outbox.deliver({ ...result, log, isOnDisk: true });
  }

  /** Posted later, it would contradict the new result. */
  async #drop({ jobId }: SpooledResult): Promise<void> {
    const { outbox, spool, log } = this.#options;
    if (outbox.has(jobId)) return; // what is on disk may be the new result already
    await spool.remove(jobId);
    jobLog(log, { jobId }).info('A result of an earlier worker is dropped: its job runs again');
  }
}
