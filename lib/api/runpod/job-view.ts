import type { JobRecord } from '../jobs/job-record.ts';
import { objectOf, textOf, type Piece } from '../server/json-object.ts';

/** A job as `/status` tells it. The output is spliced in as it came. */
export function jobView(job: JobRecord, now: number): Piece[] {
  return objectOf(membersOf(job, now));
}

/** What a webhook gets: the same, with what was asked for. */
export function webhookView(job: JobRecord, now: number): Piece[] {
  return objectOf({
    ...membersOf(job, now),
    input: job.input && [job.input.text],
    webhook: textOf(job.webhook),
  });
}

/** The same without output, for answers that are about the state. */
export function stateView(job: JobRecord, now: number): Piece[] {
  return objectOf({ ...membersOf(job, now), output: undefined, error: undefined });
}

function membersOf(job: JobRecord, now: number) {
  return {
    delayTime: textOf(job.delayMs),
    error: textOf(job.error),
    executionTime: textOf(job.executionMs(now)),
    id: textOf(job.jobId),
    output: job.output?.chunks,
    retries: job.retries > 0 ? textOf(job.retries) : undefined,
    status: textOf(job.status),
    workerId: textOf(job.workerId),
  };
}
