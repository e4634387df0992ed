import { WorkerError } from '../../errors.ts';
import type { JsonBody } from '../../json-body.ts';
import { Notifier } from '../../waiting.ts';
import type {
  EncodedResult,
  Job,
  JobQueue,
  JobUpdate,
  PreviewImage,
  Taken,
  TakeRequest,
} from '../queue.ts';

export interface LocalQueueOptions {
  /** Jobs that may be there at once, waiting or running. */
  readonly capacity?: number;
}

export interface SubmitOptions {
  /** Stops the job, wherever it is; its result then rejects with the reason. */
  readonly signal?: AbortSignal;
  /** Told when the worker has the job. */
  readonly onTaken?: () => void;
  /** Told what would be posted as progress. */
  readonly onProgress?: (value: JsonBody) => void;
  /** Told pictures on their way. Without it the worker makes none. */
  readonly onPreview?: (image: PreviewImage) => void;
}

interface Submission extends SubmitOptions {
  readonly job: Job;
  readonly result: PromiseWithResolvers<EncodedResult>;
}

/** A queue in memory: for the demo, for one-off jobs, and for whatever serves jobs from within this process. */
export class LocalQueue implements JobQueue {
  readonly #capacity: number;
  readonly #waiting = new Map<string, Submission>();
  readonly #running = new Map<string, Submission>();
  /** Ids the worker has not let go of: a job it was told to stop may take its time. */
  readonly #held = new Set<string>();
  readonly #toStop: string[] = [];
  readonly #changed = new Notifier();

  constructor({ capacity = 1000 }: LocalQueueOptions = {}) {
    this.#capacity = capacity;
  }

  /** Jobs that nobody has taken yet. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Whether one more job would be refused. */
  get isFull(): boolean {
    return this.#waiting.size + this.#running.size >= this.#capacity;
  }

  /**
   * Resolves to what the job comes to, failures included.
   * @throws WorkerError `queue.full`, or the reason of the signal.
   */
  async submit(job: Job, options: SubmitOptions = {}): Promise<EncodedResult> {
    const { signal } = options;
    signal?.throwIfAborted();
    this.#refuseUnlessNew(job.jobId);
    const submission = { ...options, job, result: Promise.withResolvers<EncodedResult>() };
    const stop = () => this.#stop(submission, signal?.reason);
    signal?.addEventListener('abort', stop);
    this.#waiting.set(job.jobId, submission);
    this.#changed.notify();
    return submission.result.promise.finally(() => signal?.removeEventListener('abort', stop));
  }

  async take({ limit, signal }: TakeRequest): Promise<readonly Taken[]> {
    for (;;) {
      const submissions = [...this.#waiting.values()].filter(
        ({ job }) => !this.#held.has(job.jobId),
      );
      if (submissions.length > 0) return submissions.slice(0, limit).map((one) => this.#hand(one));
      await this.#change(signal);
    }
  }

  previewListener(jobId: string): SubmitOptions['onPreview'] {
    const submission = this.#running.get(jobId);
    if (!submission?.onPreview) return undefined;
    return (image) => {
      if (this.#running.get(jobId) === submission) submission.onPreview?.(image);
    };
  }

  jobEnded(jobId: string): void {
    this.#held.delete(jobId);
    this.#changed.notify();
  }

  async post(jobId: string, update: JobUpdate): Promise<void> {
    await Promise.resolve();
    const submission = this.#running.get(jobId);
    if (!submission) {
      throw new WorkerError('platform.job_unknown', `Nobody waits for job ${jobId} any more`);
    }
    if (update.kind === 'progress') {
      submission.onProgress?.(update.value);
      return;
    }
    this.#running.delete(jobId);
    submission.result.resolve(update.result);
  }

  async *stops(signal: AbortSignal): AsyncGenerator<readonly string[]> {
    for (;;) {
      while (this.#toStop.length === 0) await this.#change(signal);
      yield this.#toStop.splice(0);
    }
  }

  #refuseUnlessNew(jobId: string): void {
    if (this.#waiting.has(jobId) || this.#running.has(jobId)) {
      throw new TypeError(`Job ${jobId} is there already; every job needs an id of its own`);
    }
    if (!this.isFull) return;
    throw new WorkerError(
      'queue.full',
      `Job ${jobId} is not accepted: the queue holds ${this.#capacity} jobs; send it again later`,
    );
  }

  #hand(submission: Submission): Taken {
    const { job } = submission;
    this.#waiting.delete(job.jobId);
    this.#running.set(job.jobId, submission);
    this.#held.add(job.jobId);
    submission.onTaken?.();
    return { kind: 'job', job };
  }

  #stop({ job, result }: Submission, reason: unknown): void {
    this.#waiting.delete(job.jobId);
    if (this.#running.delete(job.jobId)) this.#toStop.push(job.jobId);
    this.#changed.notify();
    result.reject(reason);
  }

  /** Resolves when something has changed; rejects with the reason of `signal`. */
  #change(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort);
    void this.#changed.notified().then(resolve);
    return promise.finally(() => signal.removeEventListener('abort', abort));
  }
}
