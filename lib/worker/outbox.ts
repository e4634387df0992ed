import pLimit from 'p-limit';
import type { Clock } from '../clock.ts';
import { describeError, isWorkerError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { Notifier, settlesWithin } from '../waiting.ts';
import { postUntilAccepted, type Failure } from './delivery.ts';
import { resultBytes, type EncodedResult, type JobQueue } from '../queues/queue.ts';
import type { Spool, SpooledResult } from './spool.ts';

export interface OutboxOptions {
  readonly queue: Pick<JobQueue, 'post'>;
  readonly spool: Spool;
  readonly clock: Clock;
  /** How long posting a result is repeated. */
  readonly timeoutMs: number;
  /** How many results, and how many bytes of them, may wait. */
  readonly backlog: number;
  readonly backlogBytes: number;
  /** What is posted instead of a result that the platform refused for good. */
  readonly toRefusedResult: (bytes: number, reason: string) => EncodedResult;
  /** Called when a result has come or gone. */
  readonly onChange: () => void;
}

export interface Parcel extends SpooledResult {
  /** The job's own log. */
  readonly log: Logger;
  /** It comes from disk, where it stays until its fate is known. */
  readonly isOnDisk?: boolean;
}

/**
 * What became of a result. `delivered`: the platform has it. `refused`: it has a small failure instead. `kept`: it is on
 * disk for the next start. `lost`: it was unwanted, or could not even be written to disk.
 */
export type Fate = 'delivered' | 'refused' | 'kept' | 'lost';

/**
 * Results on their way to the platform. Each is posted at once, beside the others, and again until the platform has it. What
 * has failed once is also on disk, so that it survives the worker.
 */
export class Outbox {
  readonly #options: OutboxOptions;
  /** Uplinks are narrow: more posts side by side would only make each of them slower. */
  readonly #lane = pLimit(8);
  readonly #queue: Pick<JobQueue, 'post'>;
  readonly #sendings = new Map<string, Sending>();
  readonly #changed = new Notifier();
  #bytes = 0;
  #isAborted = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#queue = { post: (...post) => this.#lane(() => options.queue.post(...post)) };
  }

  /** Jobs whose result is not delivered yet. */
  get jobIds(): string[] {
    return [...this.#sendings.keys()];
  }

  /** Whether results pile up, counting those of `coming` jobs that are about to end. */
  isFull(coming: number): boolean {
    const { backlog, backlogBytes } = this.#options;
    return this.#sendings.size + coming >= backlog || this.#bytes >= backlogBytes;
  }

  has(jobId: string): boolean {
    return this.#sendings.has(jobId);
  }

  /** Resolves when nothing more can be done for the result. Never rejects. */
  async deliver(parcel: Parcel): Promise<Fate> {
    const sending = new Sending(parcel.isOnDisk ? parcel.result : undefined);
    if (this.#isAborted) sending.abort();
    this.#sendings.set(parcel.jobId, sending);
    this.#bytes += parcel.bytes;
    this.#options.onChange();
    try {
      return await this.#send(parcel, sending);
    } finally {
      this.#sendings.delete(parcel.jobId);
      this.#bytes -= parcel.bytes;
      this.#changed.notify();
      this.#options.onChange();
    }
  }

  /** The platform does not want this job's result any more. */
  drop(jobId: string): void {
    this.#sendings.get(jobId)?.drop();
  }

  /** Waits for all results, but at most `graceMs`; what is left then stays on disk. */
  async close(graceMs: number): Promise<void> {
    const { clock } = this.#options;
    const emptied = this.#emptied();
    const inTime = await settlesWithin(emptied, { ms: graceMs, clock });
    if (!inTime) this.abort();
    await emptied;
  }

  /** Stops posting; what is not delivered yet, or comes later, stays on disk. */
  abort(): void {
    this.#isAborted = true;
    for (const sending of this.#sendings.values()) sending.abort();
  }

  async #emptied(): Promise<void> {
    while (this.#sendings.size > 0) await this.#changed.notified();
  }

  async #send(parcel: Parcel, sending: Sending): Promise<Fate> {
    try {
      await this.#post(parcel, sending);
      return await this.#forget(parcel, sending, 'delivered');
    } catch (error) {
      if (sending.isUnwanted) return this.#forget(parcel, sending, 'lost');
      if (sending.signal.aborted) return this.#keep(parcel, sending);
      if (isWorkerError(error, 'platform.job_unknown')) return this.#giveUp(parcel, sending, error);
      if (isWorkerError(error, 'platform.post_refused')) {
        return this.#sendRefusal(parcel, sending, error.message);
      }
      parcel.log.error({ reason: describeError(error) }, 'The result could not be posted in time');
      return this.#keep(parcel, sending);
    }
  }

  async #post(parcel: Parcel, sending: Sending): Promise<void> {
    await postUntilAccepted(parcel.jobId, parcel.result, {
      queue: this.#queue,
      clock: this.#options.clock,
      timeoutMs: this.#options.timeoutMs,
      signal: sending.signal,
      onFailure: async ({ error, attempt, pauseMs }: Failure) => {
        const level = attempt === 1 ? 'warn' : 'debug';
        parcel.log[level](
          { reason: error.message, attempt, pauseMs },
          'Posting the result failed; it is repeated',
        );
        await this.#write(parcel, sending);
      },
    });
  }

  /** Says what happened in a body small enough for anybody. A refusal of that one is the end. */
  async #sendRefusal(parcel: Parcel, sending: Sending, why: string): Promise<Fate> {
    const { bytes, log } = parcel;
    log.error({ reason: why, bytes }, 'The platform refused the result');
    if (sending.isRefusal) return this.#forget(parcel, sending, 'lost');
    sending.isRefusal = true;
    const result = this.#options.toRefusedResult(bytes, why);
    const refusal = { ...parcel, result, bytes: resultBytes(result.output, result) };
    const fate = await this.#send(refusal, sending);
    return fate === 'delivered' ? 'refused' : fate;
  }

  async #giveUp(parcel: Parcel, sending: Sending, error: Error): Promise<Fate> {
    parcel.log.warn({ reason: error.message }, 'The result is given up: the job is gone');
    return this.#forget(parcel, sending, 'lost');
  }

  async #keep(parcel: Parcel, sending: Sending): Promise<Fate> {
    await this.#write(parcel, sending);
    if (sending.onDisk !== parcel.result) return 'lost';
    parcel.log.warn('The result is kept on disk and posted at the next start');
    return 'kept';
  }

  async #write(parcel: Parcel, sending: Sending): Promise<void> {
    if (sending.onDisk === parcel.result) return;
    if (await this.#options.spool.keep(parcel)) sending.onDisk = parcel.result;
  }

  async #forget(parcel: Parcel, sending: Sending, fate: Fate): Promise<Fate> {
    if (sending.onDisk) await this.#options.spool.remove(parcel.jobId);
    return fate;
  }
}

/** The sending of one result. */
class Sending {
  readonly #controller = new AbortController();
  /** The result that is on disk now. */
  onDisk: EncodedResult | undefined;
  /** The failure that stands in for a refused result is on its way. */
  isRefusal = false;
  isUnwanted = false;

  constructor(onDisk: EncodedResult | undefined) {
    this.onDisk = onDisk;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(): void {
    this.#controller.abort();
  }

  drop(): void {
    this.isUnwanted = true;
    this.abort();
  }
}
