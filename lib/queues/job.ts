import type { JsonText } from '../json.ts';
import type { Logger } from '../log.ts';

/** One unit of work: an id and an input, with whatever else the platform sent along. */
export interface Job {
  readonly jobId: string;
  /** `input` as it was sent. */
  readonly input: JsonText;
  /** The whole job object as it was sent (`webhook`, `policy`, `s3Config`, ...). */
  readonly source: JsonText;
  /** Of a job that belongs to a batch; prefixes its log lines. */
  readonly batchId?: string;
}

/** What a queue hands over: a job, or something that was meant to be one. */
export type Taken =
  | { readonly kind: 'job'; readonly job: Job }
  | {
      readonly kind: 'broken';
      /** Absent when not even the id could be read: then nobody can be told. */
      readonly jobId?: string;
      readonly problem: string;
    };

/** What a handler gets beside the job. */
export interface JobContext {
  /** Aborted when the platform stops the job; its reason is a `WorkerError` with code `job.stopped`. */
  readonly signal: AbortSignal;
  /** Lines carry `requestId`. */
  readonly log: Logger;
  /**
   * Tells the platform how far the job is. Returns at once; the latest value wins, at most one post per interval, none
   * after the result.
   */
  progress(value: unknown): void;
  /** Shows a picture on its way. Present when somebody wants to see it; returns at once, and the latest one wins. */
  readonly preview?: (image: PreviewImage) => void;
  /** Gives the job's place to the next one, before the job's own result is ready. May be called more than once. */
  release(): void;
}

/** A picture that is not finished yet. */
export interface PreviewImage {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  /** The node it comes from, where that is known. */
  readonly nodeId?: string;
}

/**
 * Does a job. What it returns is posted as the Python SDK would: see `result-body.ts`. May return a promise, or an
 * iterator (sync or async) whose values are streamed. `Base64` leaves are allowed anywhere in the value.
 */
export type Handler = (job: Job, context: JobContext) => unknown;

/**
 * Reads one job object.
 * @returns the job, or what is wrong with it, with its id if that could be read.
 */
export function parseJob(source: JsonText): Taken {
  const jobId = source.get('id')?.value();
  if (typeof jobId !== 'string' || jobId === '') {
    return { kind: 'broken', problem: `Expected a job with an id, got ${outline(source)}` };
  }
  const input = source.get('input');
  if (!input) {
    return {
      kind: 'broken',
      jobId,
      problem: `Expected job ${jobId} to have an input; it has none`,
    };
  }
  const batchId = source.get('batchId')?.value();
  const isBatch = typeof batchId === 'string' && batchId !== '';
  return { kind: 'job', job: { jobId, input, source, ...(isBatch ? { batchId } : {}) } };
}

/** What a value is, without showing what it holds. */
function outline(source: JsonText): string {
  if (source.kind !== 'object') return `a value of kind ${source.kind}`;
  return `an object with the keys ${
    source
      .entries()
      .map(([name]) => name)
      .join(', ') || '(none)'
  }`;
}
