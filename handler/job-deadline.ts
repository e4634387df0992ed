import { systemClock } from '../lib/clock.ts';
import { WorkerError } from '../lib/errors.ts';
import type { Job } from '../lib/queues/queue.ts';

export interface Deadline extends Disposable {
  /** Aborted when the job is stopped, or with a `job.timeout` when its time is up. */
  readonly signal: AbortSignal;
}

/** Bounds a job by the worker's own limit and by `policy.executionTimeout` (milliseconds) of the job, whichever is shorter. */
export function startDeadline(job: Job, stopped: AbortSignal, limitMs: number): Deadline {
  const asked: unknown = job.source.get('policy')?.get('executionTimeout')?.value();
  const timeoutMs = typeof asked === 'number' && asked > 0 ? Math.min(asked, limitMs) : limitMs;
  const late = new AbortController();
  const cancel = systemClock.after(timeoutMs, () => late.abort(timeoutError(timeoutMs)));
  return {
    signal: AbortSignal.any([stopped, late.signal]),
    [Symbol.dispose]: cancel,
  };
}

function timeoutError(timeoutMs: number): WorkerError {
  const message = `Job took longer than ${timeoutMs / 1000} s and was stopped; raise policy.executionTimeout or JOB_TIMEOUT_S if it needs more`;
  return new WorkerError('job.timeout', message);
}
