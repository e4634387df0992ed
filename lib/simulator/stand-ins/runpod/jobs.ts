import { performance } from 'node:perf_hooks';
import type { RecordedRequest } from './requests.ts';

export type JobStatus = 'IN_QUEUE' | 'IN_PROGRESS' | 'COMPLETED' | 'FAILED' | 'CANCELLED';

/** A job and its state on the platform. Times are `performance.now()`. */
export interface SimulatedJob {
  readonly jobId: string;
  readonly submittedAt: number;
  readonly status: JobStatus;
  /** When a worker took it last. */
  readonly assignedAt?: number;
  readonly workerId?: string;
  /** When its result arrived. */
  readonly doneAt?: number;
  /** The latest progress; later the result's output. */
  readonly output?: unknown;
  readonly error?: unknown;
  /** Everything posted for it, in order: progress and results. */
  readonly posts: readonly RecordedRequest[];
}

/** Something a worker must not do. Posting the same result twice is allowed: the first answer may have been lost. */
export interface Violation {
  readonly kind:
    | 'conflicting result'
    | 'progress after the result'
    | 'post for a stopped job'
    | 'post for an unknown job'
    | 'post that is no result';
  readonly jobId: string;
  readonly request: RecordedRequest;
}

interface KeptJob extends SimulatedJob {
  status: JobStatus;
  assignedAt?: number;
  workerId?: string;
  doneAt?: number;
  output?: unknown;
  error?: unknown;
  digest?: string;
  readonly posts: RecordedRequest[];
  readonly result: PromiseWithResolvers<RecordedRequest>;
  readonly ended: PromiseWithResolvers<void>;
}

/** A job to be handed to a worker: the whole job object, as text. */
export interface Delivery {
  readonly jobId: string;
  readonly text: string;
}

/** A worker's open poll. `give` returns false if the connection is closed; the jobs then stay in the queue. */
export interface Taker {
  readonly workerId: string;
  readonly count: number;
  give(deliveries: readonly Delivery[]): boolean;
}

/** The platform's queue: jobs, the workers waiting for them, and every job's state. */
export class Jobs {
  readonly violations: Violation[] = [];
  readonly #jobs = new Map<string, KeptJob>();
  readonly #queue: Delivery[] = [];
  readonly #takers = new Set<Taker>();

  /** Appends a job to the queue. A known id is delivered again, as a platform may do. */
  submit(jobId: string, text: string): SimulatedJob {
    const job = this.#jobs.get(jobId) ?? this.#keep(jobId);
    this.#queue.push({ jobId, text });
    this.#assign();
    return job;
  }

  get(jobId: string): SimulatedJob | undefined {
    return this.#jobs.get(jobId);
  }

  count(status: JobStatus): number {
    let count = 0;
    for (const job of this.#jobs.values()) if (job.status === status) count++;
    return count;
  }

  /** Resolves with the job-done request that carries the job's result. */
  result(jobId: string): Promise<RecordedRequest> {
    return this.#known(jobId).result.promise;
  }

  /** Resolves when the job is completed, failed or cancelled. */
  ended(jobId: string): Promise<void> {
    return this.#known(jobId).ended.promise;
  }

  /** Registers an open poll; polls are served in order. The returned function removes it. */
  take(taker: Taker): () => void {
    this.#takers.add(taker);
    this.#assign();
    return () => void this.#takers.delete(taker);
  }

  /** Jobs whose delivery failed go back to the front of the queue. */
  putBack(deliveries: readonly Delivery[]): void {
    const undelivered = deliveries.filter(
      ({ jobId }) => this.#known(jobId).status === 'IN_PROGRESS',
    );
    for (const { jobId } of undelivered) this.#known(jobId).status = 'IN_QUEUE';
    this.#queue.unshift(...undelivered);
    this.#assign();
  }

  /** Cancels a job that has not ended. Returns the id of the worker that has it, if any. */
  cancel(jobId: string): string | undefined {
    const job = this.#known(jobId);
    if (isTerminal(job.status)) return undefined;
    const holder = job.status === 'IN_PROGRESS' ? job.workerId : undefined;
    this.#removeFromQueue(jobId);
    this.#end(job, 'CANCELLED');
    return holder;
  }

  /** Handles a job-done request: progress or a result. Two results are the same when their digests are equal. */
  post(jobId: string, request: RecordedRequest, body: unknown, digest: string): void {
    const job = this.#postedFor(jobId, request);
    if (!job) return;
    if (!isRecord(body)) {
      this.#violated('post that is no result', jobId, request);
      return;
    }
    if (job.status === 'CANCELLED') {
      this.#violated('post for a stopped job', jobId, request);
      return;
    }
    if (body.status === 'IN_PROGRESS') this.#progress(job, request, body);
    else this.#done(job, request, body, digest);
  }

  #keep(jobId: string): KeptJob {
    const job: KeptJob = {
      jobId,
      submittedAt: performance.now(),
      status: 'IN_QUEUE',
      posts: [],
      result: Promise.withResolvers(),
      ended: Promise.withResolvers(),
    };
    this.#jobs.set(jobId, job);
    return job;
  }

  #assign(): void {
    for (const taker of this.#takers) {
      if (this.#queue.length === 0) return;
      this.#takers.delete(taker);
      const deliveries = this.#queue.slice(0, taker.count);
      if (!taker.give(deliveries)) continue;
      this.#queue.splice(0, deliveries.length);
      for (const { jobId } of deliveries) this.#assigned(this.#known(jobId), taker.workerId);
    }
  }

  #assigned(job: KeptJob, workerId: string): void {
    job.assignedAt = performance.now();
    job.workerId = workerId;
    if (!isTerminal(job.status)) job.status = 'IN_PROGRESS';
  }

  #progress(job: KeptJob, request: RecordedRequest, body: Record<string, unknown>): void {
    if (job.digest) {
      this.#violated('progress after the result', job.jobId, request);
      return;
    }
    job.output = body.output;
  }

  #done(
    job: KeptJob,
    request: RecordedRequest,
    body: Record<string, unknown>,
    digest: string,
  ): void {
    if (job.digest === digest) return;
    if (job.digest) {
      this.#violated('conflicting result', job.jobId, request);
      return;
    }
    job.digest = digest;
    job.doneAt = request.at;
    job.output = isRecord(request.body) ? request.body.output : undefined;
    job.error = body.error;
    job.result.resolve(request);
    this.#end(job, body.error === undefined ? 'COMPLETED' : 'FAILED');
  }

  #end(job: KeptJob, status: JobStatus): void {
    job.status = status;
    job.ended.resolve();
  }

  #postedFor(jobId: string, request: RecordedRequest): KeptJob | undefined {
    const job = this.#jobs.get(jobId);
    if (job) job.posts.push(request);
    else this.#violated('post for an unknown job', jobId, request);
    return job;
  }

  #violated(kind: Violation['kind'], jobId: string, request: RecordedRequest): void {
    this.violations.push({ kind, jobId, request });
  }

  #removeFromQueue(jobId: string): void {
    const at = this.#queue.findIndex((delivery) => delivery.jobId === jobId);
    if (at >= 0) this.#queue.splice(at, 1);
  }

  #known(jobId: string): KeptJob {
    const job = this.#jobs.get(jobId);
    if (!job) throw new Error(`The simulated platform knows no job "${jobId}"`);
    return job;
  }
}

const TERMINAL: ReadonlySet<JobStatus> = new Set(['COMPLETED', 'FAILED', 'CANCELLED']);

export function isTerminal(status: JobStatus): boolean {
  return TERMINAL.has(status);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
