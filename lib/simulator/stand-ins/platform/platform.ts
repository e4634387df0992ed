import type { Jobs } from './jobs.ts';
import type { RecordedRequest } from './request.ts';
import type { Reply } from './reply.ts';
import type { Stops } from './stops.ts';

/** What the routes work on. */
export interface Platform {
  readonly jobs: Jobs;
  readonly stops: Stops;
  /** How long polls are held before 204, in milliseconds. */
  readonly takeHoldMs: number;
  readonly stopHoldMs: number;
}

/** A request as it came in, as it is remembered, and its answer. */
export interface Exchange {
  readonly request: RecordedRequest;
  readonly record: RecordedRequest;
  readonly reply: Reply;
}

/** Cancels a job; the worker that has it, if any, is told when it asks. */
export function cancelJob({ jobs, stops }: Platform, jobId: string): void {
  const workerId = jobs.cancel(jobId);
  if (workerId !== undefined) stops.add(workerId, jobId);
}
