import type { JsonBody } from '../../json-body.ts';
import type { JsonText } from '../../json.ts';
import type { Logger } from '../../log.ts';
import { Notifier } from '../../waiting.ts';
import type { Job, JobError, PreviewImage } from '../../queues/queue.ts';
import type {
  EndStatus,
  JobPolicy,
  JobStatus,
  LiveUpdate,
  NewJob,
  StoredJob,
  UpdateKind,
} from './job-store.ts';

/** How a job ended. */
export interface Ending {
  readonly status: EndStatus;
  readonly output?: JsonBody | undefined;
  readonly error?: JobError | undefined;
}

/** A job in memory. */
export class JobRecord implements StoredJob {
  readonly jobId: string;
  readonly policy: JobPolicy;
  /** Notified of every change. */
  readonly changed = new Notifier();
  /** The record is deleted then, in any state. */
  expiresAt: number;
  retries = 0;
  queuedAt: number;
  startedAt: number | undefined;
  endedAt: number | undefined;
  workerId: string | undefined;
  output: JsonBody | undefined;
  error: JobError | undefined;
  droppedBytes: number | undefined;
  /** Present while the job can still be run again. */
  #request: Pick<NewJob, 'input' | 'source' | 'sourceLength'> | undefined;
  #status: JobStatus = 'queued';
  /** Updates that nobody has taken, the latest of each kind. */
  readonly #updates = new Map<UpdateKind, LiveUpdate>();
  readonly #log: Logger;
  readonly #onSizeChange: () => void;

  constructor(
    { jobId, input, source, sourceLength, policy }: NewJob,
    {
      now,
      log,
      onSizeChange,
    }: { readonly now: number; readonly log: Logger; readonly onSizeChange: () => void },
  ) {
    this.jobId = jobId;
    this.policy = policy;
    this.queuedAt = now;
    this.expiresAt = now + policy.ttlMs;
    this.#request = { input, source, sourceLength };
    this.#log = log;
    this.#onSizeChange = onSizeChange;
  }

  get status(): JobStatus {
    return this.#status;
  }

  get isOver(): boolean {
    return this.#status !== 'queued' && this.#status !== 'running';
  }

  /** Whether the job failed in a way that another run may not, and its request is still kept. */
  get canRetry(): boolean {
    const failed = this.#status === 'failed' || this.#status === 'timed_out';
    return failed && this.#request !== undefined;
  }

  get input(): JsonText | undefined {
    return this.#request?.input;
  }

  /** Bytes of memory, approximately. */
  get bytes(): number {
    const texts = (this.#request?.sourceLength ?? 0) + (this.error?.message.length ?? 0);
    return texts + (this.output?.bytes ?? 0) + this.#updateBytes + 1000;
  }

  /** Whether {@link dropOutput} would free memory. */
  get canShrink(): boolean {
    const hasMore = this.#request !== undefined || this.output !== undefined;
    return hasMore || this.#updateBytes > 0 || (this.error?.message.length ?? 0) > KEPT_ERROR;
  }

  hasUpdates(kinds: ReadonlySet<UpdateKind>): boolean {
    return [...this.#updates.keys()].some((kind) => kinds.has(kind));
  }

  takeUpdates(kinds: ReadonlySet<UpdateKind>): LiveUpdate[] {
    const taken = [...this.#updates.values()].filter(({ kind }) => kinds.has(kind));
    for (const { kind } of taken) this.#updates.delete(kind);
    this.#onSizeChange();
    return taken.sort((a, b) => ORDER[a.kind] - ORDER[b.kind]);
  }

  /** The job as the worker gets it. */
  toJob(): Job {
    if (!this.#request) throw new TypeError(`The request of job ${this.jobId} is no longer kept`);
    const { input, source } = this.#request;
    return { jobId: this.jobId, input, source };
  }

  setTaken(workerId: string, now: number): void {
    this.workerId = workerId;
    this.startedAt = now;
    this.#setStatus('running');
  }

  setProgress(value: JsonBody): void {
    if (this.#status !== 'running') return;
    this.output = value;
    this.#updates.set('progress', { kind: 'progress', value });
    this.#change();
  }

  setPreview(image: PreviewImage): void {
    this.#updates.set('preview', { kind: 'preview', image });
    this.#change();
  }

  setEnded({ status, output, error }: Ending, now: number): void {
    this.endedAt = now;
    this.output = output;
    this.error = error;
    this.#setStatus(status);
  }

  /** Back to the queue, without anything of the last run. */
  requeue(now: number): void {
    this.retries++;
    this.queuedAt = now;
    this.startedAt = this.endedAt = this.workerId = undefined;
    this.output = this.error = this.droppedBytes = undefined;
    this.#updates.clear();
    this.#setStatus('queued');
  }

  /** Frees the request of a job that will not run again. */
  dropRequest(): void {
    this.#request = undefined;
    this.#onSizeChange();
  }

  /** Frees everything that is large: request, output, and all but the start of a long error. */
  dropOutput(): void {
    this.#request = undefined;
    this.#updates.clear();
    if (this.output) this.droppedBytes = this.output.bytes;
    if (this.error)
      this.error = { ...this.error, message: this.error.message.slice(0, KEPT_ERROR) };
    this.output = undefined;
    this.#change();
  }

  get #updateBytes(): number {
    const sizes = [...this.#updates.values()].map((update) =>
      update.kind === 'progress' ? update.value.bytes : update.image.bytes.length,
    );
    return sizes.reduce((sum, bytes) => sum + bytes, 0);
  }

  #setStatus(status: JobStatus): void {
    this.#log.debug({ from: this.#status, to: status }, 'The state of the job changed');
    this.#status = status;
    this.#change();
  }

  #change(): void {
    this.#onSizeChange();
    this.changed.notify();
  }
}

/** Progress is read before the preview that belongs to it. */
const ORDER: Readonly<Record<UpdateKind, number>> = { progress: 0, preview: 1 };

/** Characters of an error that are kept when memory is short. */
const KEPT_ERROR = 2000;
