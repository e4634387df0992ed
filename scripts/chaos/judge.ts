import { summarize } from '../bench/statistics.ts';
import type { JobStory, RunStory } from './stories.ts';

/** A broken invariant. */
export interface Breach {
  readonly text: string;
  readonly job?: JobStory;
}

/** The invariants of a run. Empty when all hold. */
export function judge(run: RunStory): Breach[] {
  const ofJobs = run.jobs.flatMap((job) =>
    judgeJob(job, run).map((text): Breach => ({ text, job })),
  );
  const ofWorker = run.workerEnds.slice(0, -1).flatMap(({ how, after }) => {
    if (after === 'SIGKILL' || (after === 'SIGTERM' && how === 0)) return [];
    return [`the worker ended by itself or wrongly: ${how} after ${after ?? 'no signal'}`];
  });
  const last = run.workerEnds.at(-1);
  if (last?.how !== 0) ofWorker.push(`the last worker ended with ${last?.how ?? 'nothing'}`);
  const ofRun = [...ofWorker, ...run.leftovers, ...run.complaints, ...judgeMemory(run)];
  return [...ofJobs, ...ofRun.map((text): Breach => ({ text }))];
}

function judgeJob(job: JobStory, { faults, workerEnds }: RunStory): string[] {
  const { status, cancelledAt, resultAt, runs, redeliveries } = job;
  const starts = runs.filter(({ what }) => what === 'started').map(({ at }) => at);
  const breaches: string[] = [];
  if (status === 'IN_QUEUE' || status === 'IN_PROGRESS')
    breaches.push(`it has no result and was not cancelled (${status})`);
  if (status === 'COMPLETED' && !runs.some(({ what }) => what === 'executed'))
    breaches.push('it succeeded, but ComfyUI never executed it');
  if (job.wrongOutput !== undefined) breaches.push(job.wrongOutput);

  for (const kind of job.broken) {
    const latePost = kind === 'post for a stopped job';
    const lastPost = job.posts.at(-1)?.at ?? 0;
    if (latePost && lastPost < (cancelledAt ?? 0) + STOP_GRACE_MS) continue;
    breaches.push(`the worker broke a rule of the platform: ${kind}`);
  }

  // ComfyUI may run a job once for each time it was handed out, and once more when ComfyUI failed under it.
  const handedOut = 1 + redeliveries.length;
  if (starts.length > 2 * handedOut)
    breaches.push(`it ran ${starts.length} times, and was handed out ${handedOut} times`);
  const [first = 0] = starts;
  const last = starts.at(-1) ?? 0;
  const disturbed = faults.some(({ at }) => at > first - BEFORE_MS && at < last);
  if (starts.length > 1 && !disturbed && !workerEnds.some(({ at }) => at > first && at < last))
    breaches.push(`it ran ${starts.length} times, and nothing had happened in between`);
  const endAt = Math.min(resultAt ?? Infinity, (cancelledAt ?? Infinity) + STOP_GRACE_MS);
  const late = starts.find((at) => at > endAt + CLOCK_SLACK_MS);
  if (late !== undefined)
    breaches.push(`it ran when nobody waited for it, ${Math.round(late - endAt)} ms late`);

  for (const { at } of redeliveries.filter(({ why }) => why === 'not in heartbeats')) {
    const wasCutOff = faults.some(
      (fault) => fault.kind.startsWith('platform') && fault.at < at && fault.at > at - CUT_OFF_MS,
    );
    if (!wasCutOff) breaches.push('the worker had it and forgot it without a result');
  }
  return breaches;
}

/** Only a long run with a heap that does not grow says something. */
function judgeMemory({ memory, hasFixedHeap, jobs }: RunStory): string[] {
  if (!hasFixedHeap || jobs.length < JOBS_FOR_MEMORY) return [];
  const { second, last } = memoryOverTime(memory);
  if (last <= second * MOST_GROWTH) return [];
  return [
    `memory grew: median of the last third ${megabytes(last)}, of the second ${megabytes(second)}`,
  ];
}

/** Medians of the three thirds, in bytes. */
export function memoryOverTime(samples: readonly number[]) {
  const third = samples.length / 3;
  const median = (index: number) =>
    summarize(samples.slice(Math.round(index * third), Math.round((index + 1) * third)))?.median ??
    0;
  return { first: median(0), second: median(1), last: median(2) };
}

export const megabytes = (bytes: number) => `${Math.round(bytes / 1024 / 1024)} MB`;

/** A cancel is known to the worker only when its stop channel answers; a fault may have broken it. */
const STOP_GRACE_MS = 15_000;
/** Between the clocks of two processes. */
const CLOCK_SLACK_MS = 50;
/** A fault may have been set before the job ran, and met it later. */
const BEFORE_MS = 60_000;
/** Heartbeats are missed for ten seconds before a job is handed out again. */
const CUT_OFF_MS = 30_000;
const JOBS_FOR_MEMORY = 30_000;
const MOST_GROWTH = 1.1;
