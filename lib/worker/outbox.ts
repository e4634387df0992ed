import pLimit from 'p-limit';
import type { Clock } from '../clock.ts';
import { describeError, isWorkerError } from '../errors.ts';
import { retry, RETRY_POLICIES } from '../http/retry.ts';
import type { Logger } from '../log.ts';
import type { EncodedResult, JobQueue } from '../queues/queue.ts';
import { Notifier, settlesWithin } from '../waiting.ts';
import { resultBytes, toRefusedResult, type ResultLimit } from './encode-result.ts';
import type { Spool } from './spool.ts';

interface OutboxOptions {
  readonly queue: Pick<JobQueue, 'post'>;
  readonly spool: Spool;
  readonly clock: Clock;
  /** How long posting a result is retried. */
  readonly timeoutMs: number;
  /** Results, and bytes of them, at which the outbox is full. */
  readonly backlog: number;
  readonly backlogBytes: number;
  /** Named in the failure that replaces a refused result. */
  readonly limit: ResultLimit;
  /** Called when a result has come or gone. */
  readonly onChange: () => void;
  /** Called when the queue has taken a result. */
  readonly onDelivered?: () => void;
}

/** A result on its way to the queue. */
interface Parcel {
  readonly jobId: string;
  readonly result: EncodedResult;
  /** The job's own log. */
  readonly log: Logger;
  /**
   * The result was read from the spool; its file is removed when it is delivered. A `late` one gets one attempt: others
   * follow when the platform is well again.
   */
  readonly onDisk?: 'late' | 'wanted';
}

/**
 * `delivered`: the queue has the result. `refused`: it has a small failure instead. `kept`: the result is on disk and is
 * posted later. `lost`: nobody wanted it, or the worker ended when it could be neither posted nor written to disk.
 */
export type Fate = 'delivered' | 'refused' | 'kept' | 'lost';

/**
 * Results that are being posted. Each is posted at once, beside the others, and retried until the queue has it. After a
 * first failure it is also on disk, so that it survives the worker. When its time is up it stays there and leaves the
 * outbox; a result that the disk does not take is retried until the worker ends.
 */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #postings = new Map<string, Posting>();
  /** Uplinks are narrow: more posts at once would only make each of them slower. */
  readonly #postSlots = pLimit(8);
  readonly #changed = new Notifier();
  #bytes = 0;
  #isAborted = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Jobs whose result is not delivered yet. */
  get jobIds(): string[] {
    return [...this.#postings.keys()];
  }

  has(jobId: string): boolean {
    return this.#postings.has(jobId);
  }

  /** Whether too many results wait, counting those of `unposted`: jobs that are about to end. */
  isFull(unposted: { readonly count: number; readonly bytes: number } = NOTHING): boolean {
    const { backlog, backlogBytes } = this.#options;
    return (
      this.#postings.size + unposted.count >= backlog ||
      this.#bytes + unposted.bytes >= backlogBytes
    );
  }

  /** Resolves when nothing more can be done for the result. Never rejects. */
  async post(parcel: Parcel): Promise<Fate> {
    const { jobId, result } = parcel;
    const bytes = resultBytes(result.output, result);
    const posting = new Posting(parcel, this.#options.spool);
    if (this.#isAborted) posting.abort();
    this.#postings.set(jobId, posting);
    this.#bytes += bytes;
    this.#options.onChange();
    try {
      const fate = await this.#postOrReplace(posting);
      if (fate === 'delivered' || fate === 'refused') this.#options.onDelivered?.();
      return fate;
    } finally {
      this.#postings.delete(jobId);
      this.#bytes -= bytes;
      this.#changed.notify();
      this.#options.onChange();
    }
  }

  /** The platform no longer wants the result of this job. */
  drop(jobId: string): void {
    const posting = this.#postings.get(jobId);
    if (!posting) return;
    posting.isUnwanted = true;
    posting.abort();
  }

  /**
   * Waits for all results, but at most `graceMs`; undelivered results stay on disk.
   * @param lastPosts resolves when no more results come.
   */
  async close(graceMs: number, lastPosts: Promise<unknown>): Promise<void> {
    const isEmpty = async () => {
      await lastPosts;
      while (this.#postings.size > 0) await this.#changed.notified();
    };
    const emptied = isEmpty();
    const inTime = await settlesWithin(emptied, { ms: graceMs, clock: this.#options.clock });
    if (!inTime) this.abort();
    await emptied;
  }

  /** Stops posting; results that are undelivered, or come later, stay on disk. */
  abort(): void {
    this.#isAborted = true;
    for (const posting of this.#postings.values()) posting.abort();
  }

  /** Posts the result, and a small failure in its place if the platform refuses it for good. */
  async #postOrReplace(posting: Posting): Promise<Fate> {
    const { log, result } = posting;
    const error = await this.#tryToPost(posting);
    if (!error) return posting.end('delivered');
    if (posting.isUnwanted) return posting.end('lost');
    if (posting.signal.aborted) return posting.keep();
    if (isWorkerError(error, 'platform.job_unknown')) {
      log.warn({ reason: error.message }, 'The result is given up: the job is gone');
      return posting.end('lost');
    }
    if (isWorkerError(error, 'platform.post_refused')) {
      const bytes = resultBytes(result.output, result);
      const reason = error.message;
      log.error({ reason, bytes }, 'The platform refused the result');
      if (posting.isRefusal) return posting.end('lost');
      posting.refuse(toRefusedResult(bytes, { reason, ...this.#options.limit }));
      const fate = await this.#postOrReplace(posting);
      return fate === 'delivered' ? 'refused' : fate;
    }
    const reason = describeError(error);
    if (posting.isLate) log.debug({ reason }, 'A result on disk could not be posted now');
    else log.error({ reason }, 'The result could not be posted in time');
    return posting.keep();
  }

  /** Posts until the queue has the result. Returns the error that ended the attempts, if any. */
  async #tryToPost(posting: Posting): Promise<unknown> {
    const { queue, clock, timeoutMs } = this.#options;
    const { jobId, result, signal, log } = posting;
    const giveUpAt = posting.isLate ? -Infinity : clock.now() + timeoutMs;
    const attempt = () =>
      this.#postSlots(() => queue.post(jobId, { kind: 'result', result }, { signal }));
    try {
      await retry(attempt, {
        policy: RETRY_POLICIES.postFailed,
        clock,
        signal,
        isTransient: (error) => isWorkerError(error, 'platform.post_failed'),
        retryAfterMs: (error) => (isWorkerError(error) ? error.retryAfterMs : undefined),
        onRetry: async ({ error, attempt, delayMs }) => {
          const isOnDisk = await posting.write();
          if (isOnDisk && clock.now() + delayMs > giveUpAt) throw error;
          const level = attempt === 1 ? 'warn' : 'debug';
          const reason = describeError(error);
          log[level]({ reason, attempt, delayMs }, 'Posting the result failed; it is retried');
        },
      });
      return undefined;
    } catch (error) {
      return error;
    }
  }
}

const NOTHING = { count: 0, bytes: 0 };

/** The posting of one result, and its copy on disk. */
class Posting {
  readonly jobId: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
  result: EncodedResult;
  /** The result is the failure that replaces a refused one. */
  isRefusal = false;
  isUnwanted = false;
  readonly isLate: boolean;
  readonly #spool: Spool;
  readonly #controller = new AbortController();
  #onDisk: EncodedResult | undefined;

  constructor({ jobId, result, log, onDisk }: Parcel, spool: Spool) {
    this.jobId = jobId;
    this.log = log;
    this.signal = this.#controller.signal;
    this.result = result;
    this.#spool = spool;
    this.isLate = onDisk === 'late';
    if (onDisk) this.#onDisk = result;
  }

  abort(): void {
    this.#controller.abort();
  }

  /** Replaces the result by a failure, which asks for a fresh worker if the result did. */
  refuse(failure: EncodedResult): void {
    const { freshWorker } = this.result;
    this.result = { ...failure, ...(freshWorker && { freshWorker }) };
    this.isRefusal = true;
  }

  /** Writes the result to disk, unless it is there. False when the disk does not take it. */
  async write(): Promise<boolean> {
    const { jobId, result } = this;
    if (this.#onDisk === result) return true;
    if (!(await this.#spool.keep({ jobId, result }))) return false;
    this.#onDisk = result;
    return true;
  }

  /** Leaves the result on disk. */
  async keep(): Promise<Fate> {
    if (!(await this.write())) {
      this.log.error('The result is lost: it could be neither posted nor written to disk');
      return 'lost';
    }
    const text = 'The result is kept on disk; it is posted later, or at the next start';
    this.log[this.isLate ? 'debug' : 'warn'](text);
    return 'kept';
  }

  /** Removes the result from disk. */
  async end(fate: Fate): Promise<Fate> {
    if (this.#onDisk) await this.#spool.remove(this.jobId);
    return fate;
  }
}
