import type { JobStatus, Violation } from '../../lib/simulator/stand-ins/runpod/jobs.ts';
import type { FaultKind } from './faults.ts';
import type { WorkerEnd } from './worker-lives.ts';

/** A line of ComfyUI's journal. Times here and below are milliseconds since the epoch, by the undisturbed clock. */
export interface RunRecord {
  readonly what: 'started' | 'executed';
  readonly jobId: string;
  readonly at: number;
  /** The process of ComfyUI. */
  readonly pid: number;
}

/** The platform handed a job out again. */
export interface Redelivery {
  readonly at: number;
  /** The worker no longer names the job in its heartbeats, or its process has ended. */
  readonly why: 'worker ended' | 'not in heartbeats';
}

/** Everything that was seen of one job: by the platform, by ComfyUI, and by the run itself. */
export interface JobStory {
  readonly jobId: string;
  readonly submittedAt: number;
  readonly status: JobStatus;
  readonly redeliveries: readonly Redelivery[];
  readonly cancelledAt?: number | undefined;
  /** When its first result arrived. */
  readonly resultAt?: number | undefined;
  readonly error?: string | undefined;
  /** Its output is not its own. */
  readonly wrongOutput?: string | undefined;
  readonly posts: readonly { readonly at: number; readonly what: 'progress' | 'result' }[];
  readonly runs: readonly RunRecord[];
  readonly broken: readonly Violation['kind'][];
}

export interface InjectedFault {
  readonly kind: FaultKind;
  readonly at: number;
}

/** The record of a run, for the judge. */
export interface RunStory {
  readonly jobs: readonly JobStory[];
  readonly faults: readonly InjectedFault[];
  readonly workerEnds: readonly WorkerEnd[];
  /** Processes, listeners and files that are left, one line each. */
  readonly leftovers: readonly string[];
  /** Lines of the worker's log that must never appear. */
  readonly complaints: readonly string[];
  /** Samples of the worker's resident memory in bytes. */
  readonly memory: readonly number[];
  /** The worker had a fixed heap and lived for the whole run. */
  readonly hasFixedHeap: boolean;
}

/** The job's events in order, one line each, with the faults of the run in between. */
export function historyOf(job: JobStory, faults: readonly InjectedFault[]): string[] {
  const { submittedAt, redeliveries, cancelledAt, resultAt, posts, runs } = job;
  const events = [
    { at: submittedAt, text: 'submitted' },
    ...redeliveries.map(({ at, why }) => ({ at, text: `handed out again (${why})` })),
    ...runs.map(({ at, what, pid }) => ({ at, text: `ComfyUI ${pid}: ${what}` })),
    ...posts.map(({ at, what }) => ({ at, text: `posted: ${what}` })),
    ...(cancelledAt === undefined ? [] : [{ at: cancelledAt, text: 'cancelled' }]),
    ...(resultAt === undefined ? [] : [{ at: resultAt, text: 'result accepted' }]),
  ];
  const endAt = Math.max(...events.map(({ at }) => at));
  const near = faults
    .filter(({ at }) => at > submittedAt - NEAR_MS && at < endAt + NEAR_MS)
    .map(({ at, kind }) => ({ at, text: `-- fault: ${kind}` }));
  return [...events, ...near]
    .sort((a, b) => a.at - b.at)
    .map(({ at, text }) => `${((at - submittedAt) / 1000).toFixed(3).padStart(9)} s  ${text}`);
}

const NEAR_MS = 5000;
