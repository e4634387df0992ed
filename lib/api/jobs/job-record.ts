import type { JsonBody } from '../../json-body.ts';
import type { JsonText } from '../../json.ts';
import type { Logger } from '../../log.ts';
import { Notifier } from '../../waiting.ts';
import type { Job, PreviewImage } from '../../queues/queue.ts';
import { JobStream, type Wanted } from './job-stream.ts';
import type { Piece } from '../server/json-object.ts';
import type { RunRequest } from '../runpod/run-request.ts';
import type { RunKind } from '../server/settings.ts';

/**
 *     IN_QUEUE ── taken ──► IN_PROGRESS ── result ──► COMPLETED, FAILED
 *        │  ▲                    │ └─ executionTimeout ──► TIMED_OUT
 *        │  └── retry, from FAILED and TIMED_OUT
 *        └── cancel ──► CANCELLED ◄── cancel
 *
 * A job whose `ttl` is over, or that was purged from the queue, is not in any state: its record is gone.
 */
export type JobStatus = 'IN_QUEUE' | 'IN_PROGRESS' | EndStatus;
export type EndStatus = 'COMPLETED' | 'FAILED' | 'CANCELLED' | 'TIMED_OUT';

export interface Ending {
  readonly status: EndStatus;
  readonly output?: JsonBody | undefined;
  readonly error?: string | undefined;
}

export interface RecordOptions {
  readonly jobId: string;
  readonly kind: RunKind;
  readonly request: RunRequest;
  readonly retentionMs: number;
  readonly now: number;
  readonly log: Logger;
  /** Told whenever the state, or what is held, has changed. */
  readonly onChange: () => void;
}

/** What is known of a job. Times are those of the clock, in milliseconds. */
export class JobRecord {
  readonly jobId: string;
  readonly kind: RunKind;
  readonly webhook: string | undefined;
  readonly retentionMs: number;
  readonly executionTimeoutMs: number | undefined;
  /** Rings at every change. */
  readonly changed = new Notifier();
  readonly submittedAt: number;
  /** When the record is forgotten, whatever the state. */
  ttlEndsAt: number;
  retries = 0;
  #stream = new JobStream();
  #request: RunRequest | undefined;
  #status: JobStatus = 'IN_QUEUE';
  #queuedAt: number;
  #startedAt: number | undefined;
  #endedAt: number | undefined;
  #workerId: string | undefined;
  #output: JsonBody | undefined;
  #error: string | undefined;
  readonly #log: Logger;
  readonly #onChange: () => void;

  constructor({ jobId, kind, request, retentionMs, now, log, onChange }: RecordOptions) {
    this.jobId = jobId;
    this.kind = kind;
    this.webhook = request.webhook;
    this.retentionMs = retentionMs;
    this.executionTimeoutMs = request.policy.executionTimeoutMs;
    this.submittedAt = this.#queuedAt = now;
    this.ttlEndsAt = now + request.policy.ttlMs;
    this.#request = request;
    this.#log = log;
    this.#onChange = onChange;
  }

  get status(): JobStatus {
    return this.#status;
  }

  get isOver(): boolean {
    return this.#status !== 'IN_QUEUE' && this.#status !== 'IN_PROGRESS';
  }

  /** Whether it failed in a way that another try may mend, and still has what is needed for one. */
  get canRetry(): boolean {
    const failed = this.#status === 'FAILED' || this.#status === 'TIMED_OUT';
    return failed && this.#request !== undefined;
  }

  get endedAt(): number | undefined {
    return this.#endedAt;
  }

  get workerId(): string | undefined {
    return this.#workerId;
  }

  /** The result, or the latest progress. */
  get output(): JsonBody | undefined {
    return this.#output;
  }

  get error(): string | undefined {
    return this.#error;
  }

  /** `input` as it was sent, while it is kept. */
  get input(): JsonText | undefined {
    return this.#request?.input;
  }

  /** Whether there is something to stream that nobody has fetched. */
  hasStream(wanted: Wanted): boolean {
    return this.#stream.has(wanted);
  }

  /** What there is to stream; it is given once. */
  takeStream(wanted: Wanted): Piece[][] {
    const taken = this.#stream.take(wanted);
    this.#onChange();
    return taken;
  }

  /** What the record holds in memory, near enough. */
  get bytes(): number {
    const texts = (this.#request?.length ?? 0) + (this.#error?.length ?? 0);
    return texts + (this.#output?.bytes ?? 0) + this.#stream.bytes + 1000;
  }

  /** Whether {@link dropOutput} would free anything. */
  get canShrink(): boolean {
    const hasMore = this.#request !== undefined || this.#output !== undefined;
    return hasMore || this.#stream.bytes > 0 || (this.#error?.length ?? 0) > KEPT_ERROR;
  }

  /** Milliseconds in the queue; undefined as long as it is there. */
  get delayMs(): number | undefined {
    if (this.#startedAt === undefined) return undefined;
    return Math.max(0, Math.round(this.#startedAt - this.#queuedAt));
  }

  /** Milliseconds from start to end, or until now. */
  executionMs(now: number): number | undefined {
    if (this.#startedAt === undefined) return undefined;
    return Math.max(0, Math.round((this.#endedAt ?? now) - this.#startedAt));
  }

  /** The job as the worker gets it. */
  toJob(): Job {
    if (!this.#request) throw new TypeError(`The request of job ${this.jobId} is no longer kept`);
    const { input, source } = this.#request;
    return { jobId: this.jobId, input, source };
  }

  taken(workerId: string, now: number): void {
    this.#workerId = workerId;
    this.#startedAt = now;
    this.#become('IN_PROGRESS');
  }

  progressed(value: JsonBody): void {
    if (this.#status !== 'IN_PROGRESS') return;
    this.#output = value;
    this.#stream.setProgress(value);
    this.#change();
  }

  previewed(image: PreviewImage): void {
    this.#stream.setPreview(image);
    this.#change();
  }

  ended({ status, output, error }: Ending, now: number): void {
    this.#endedAt = now;
    this.#output = output;
    this.#error = error;
    this.#become(status);
  }

  /** Back to the queue, with what came of the last try forgotten. */
  requeued(now: number): void {
    this.retries++;
    this.#queuedAt = now;
    this.#startedAt = this.#endedAt = this.#workerId = undefined;
    this.#output = this.#error = undefined;
    this.#stream = new JobStream();
    this.#become('IN_QUEUE');
  }

  /** The request of a job that will not be run again. */
  dropRequest(): void {
    this.#request = undefined;
    this.#onChange();
  }

  /** Gives up the output to save memory, and says so in its place. */
  dropOutput(): void {
    this.#request = undefined;
    this.#stream = new JobStream();
    if (this.#output) this.#error ??= droppedText(this.#output.bytes);
    this.#error = this.#error?.slice(0, KEPT_ERROR);
    this.#output = undefined;
    this.#change();
  }

  #change(): void {
    this.#onChange();
    this.changed.notify();
  }

  #become(status: JobStatus): void {
    this.#log.debug({ from: this.#status, to: status }, 'The state of the job changed');
    this.#status = status;
    this.#change();
  }
}

/** Characters of an error that are kept when memory is short. */
const KEPT_ERROR = 2000;

function droppedText(bytes: number): string {
  const size = bytes.toLocaleString('en-US');
  return `The output (${size} bytes) is no longer kept: API_MAX_RECORD_BYTES was reached. Fetch results sooner, use a bucket, or raise it`;
}
