import { randomUUID } from 'node:crypto';
import pLimit from 'p-limit';
import type { RunpodSimulator } from '../../lib/simulator/stand-ins/runpod.ts';
import type { JobScenario, Prepared } from './scenarios.ts';

/** A job whose result is in. Times are `performance.now()`. */
export interface Finished {
  /** Where its outputs went, different for each job. */
  readonly prefix: string;
  readonly assignedAt: number;
  readonly doneAt: number;
  readonly resultBytes: number;
}

/** The first jobs wait for the worker, open connections and are compiled; they are not measured. */
export async function warmUp(platform: RunpodSimulator, prepared: Prepared): Promise<void> {
  const run = newRun();
  for (let job = WARM_UP_FROM; job < WARM_UP_FROM + WARM_UP_JOBS; job++) {
    await submit(platform, prepared, { job, prefix: `${run}/job${job}` });
  }
}

/** Keeps as many jobs on the platform as the scenario wants waiting there. */
export async function runJobs(
  platform: RunpodSimulator,
  prepared: Prepared,
  { count, queued }: Pick<JobScenario, 'count' | 'queued'>,
): Promise<Finished[]> {
  const run = newRun();
  const limit = pLimit(queued);
  const numbers = Array.from({ length: count }, (_, job) => job);
  return limit.map(numbers, (job) => {
    const prefix = `${run}/${Math.floor(job / JOBS_PER_FOLDER)}/job${job}`;
    return submit(platform, prepared, { job, prefix });
  });
}

async function submit(
  platform: RunpodSimulator,
  prepared: Prepared,
  { job, prefix }: { readonly job: number; readonly prefix: string },
): Promise<Finished> {
  const jobId = platform.submit(prepared.input(job, prefix));
  const result = await platform.result(jobId);
  const { assignedAt = NaN, doneAt = NaN, error } = platform.job(jobId) ?? {};
  if (error !== undefined) throw new Error(`A job of the bench failed: ${JSON.stringify(error)}`);
  return { prefix, assignedAt, doneAt, resultBytes: result.bodyBytes };
}

function newRun(): string {
  return `bench-${randomUUID().slice(0, 8)}`;
}

const WARM_UP_JOBS = 3;
/** Far from the numbers of measured jobs, so that nothing of theirs is cached. */
const WARM_UP_FROM = 1_000_037;
/** ComfyUI reads a whole folder to number a file in it. */
const JOBS_PER_FOLDER = 50;
