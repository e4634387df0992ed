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

export interface SubmitOptions {
  /** Stops the job, whether it waits or runs; its result then rejects with the reason. */
  readonly signal?: AbortSignal;
  /** Called when the worker takes the job. */
  readonly onTaken?: () => void;
  readonly onProgress?: (value: JsonBody) => void;
  /** Receives preview images. When left out, none are made. */
  readonly onPreview?: (image: PreviewImage) => void;
}

interface Submission extends SubmitOptions {
  readonly job: Job;
  readonly result: PromiseWithResolvers<EncodedResult>;
}

/** A queue in memory, for jobs that come from within this process: the local API, one job, the demo. */
export class LocalQueue implements JobQueue {
  readonly #capacity: number;
  readonly #waiting = new Map<string, Submission>();
  /** Taken jobs whose submitter still waits for the result. */
  readonly #awaited = new Map<string, Submission>();
  /** Ids of jobs that the worker still holds: a job that was told to stop may take its time. */
  readonly #held = new Set<string>();
  readonly #toStop: string[] = [];
  readonly #changed = new Notifier();

  /** @param options `capacity`: jobs that may wait or run at once; 1000 when left out. */
  constructor({ capacity = 1000 }: { readonly capacity?: number } = {}) {
    this.#capacity = capacity;
  }

  /** Number of jobs that nobody has taken yet. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Whether one more job would be refused. */
  get isFull(): boolean {
    return this.#waiting.size + this.#awaited.size >= this.#capacity;
  }

  /**
   * Resolves to the result of the job, failures included.
   * @throws WorkerError `queue.full`, or the reason of the signal.
   */
  async submit(job: Job, options: SubmitOptions = {}): Promise<EncodedResult> {
    const { signal } = options;
    const { jobId } = job;
    signal?.throwIfAborted();
    if (this.#waiting.has(jobId) || this.#awaited.has(jobId)) {
      throw new TypeError(`Job ${jobId} is there already; every job needs an id of its own`);
    }
    if (this.isFull) {
      const text = `Job ${jobId} is not accepted: the queue holds ${this.#capacity} jobs; send it again later`;
      throw new WorkerError('queue.full', text);
    }
    const result = Promise.withResolvers<EncodedResult>();
    const stop = () => {
      this.#waiting.delete(jobId);
      if (this.#awaited.delete(jobId)) this.#toStop.push(jobId);
      this.#changed.notify();
      result.reject(signal?.reason);
    };
    signal?.addEventListener('abort', stop);
    this.#waiting.set(jobId, { ...options, job, result });
    this.#changed.notify();
    return result.promise.finally(() => signal?.removeEventListener('abort', stop));
  }

  async take({ limit, signal }: TakeRequest): Promise<readonly Taken[]> {
    const ready = () => [...this.#waiting.values()].filter(({ job }) => !this.#held.has(job.jobId));
    while (ready().length === 0) await this.#nextChange(signal);
    const taken = ready().slice(0, limit);
    for (const submission of taken) {
      const { jobId } = submission.job;
      this.#waiting.delete(jobId);
      this.#awaited.set(jobId, submission);
      this.#held.add(jobId);
      submission.onTaken?.();
    }
    return taken.map(({ job }) => ({ kind: 'job', job }));
  }

  previewListener(jobId: string): SubmitOptions['onPreview'] {
    const submission = this.#awaited.get(jobId);
    if (!submission?.onPreview) return undefined;
    return (image) => {
      if (this.#awaited.get(jobId) === submission) submission.onPreview?.(image);
    };
  }

  jobEnded(jobId: string): void {
    this.#held.delete(jobId);
    this.#changed.notify();
  }

  async post(jobId: string, update: JobUpdate): Promise<void> {
    await Promise.resolve(); // a handler's progress must not run the submitter's code within the same call
    const submission = this.#awaited.get(jobId);
    if (!submission) {
      throw new WorkerError('platform.job_unknown', `Nobody waits for job ${jobId} any more`);
    }
    switch (update.kind) {
      case 'progress':
        submission.onProgress?.(update.value);
        break;
      case 'result':
        this.#awaited.delete(jobId);
        submission.result.resolve(update.result);
    }
  }

  async *stops(signal: AbortSignal): AsyncGenerator<readonly string[]> {
    for (;;) {
      while (this.#toStop.length === 0) await this.#nextChange(signal);
      yield this.#toStop.splice(0);
    }
  }

  /** Resolves when jobs have come or gone; rejects with the reason of `signal`. */
  #nextChange(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort);
    void this.#changed.notified().then(resolve);
    return promise.finally(() => signal.removeEventListener('abort', abort));
  }
}
