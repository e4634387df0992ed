import type { MemoryOverTime } from './memory-watch.ts';
import type { Summary } from './statistics.ts';

/** What a scenario showed. Undefined where it was not, or could not be, measured. */
export interface Figures {
  readonly scenario: string;
  /** Jobs, starts, or rounds. */
  readonly count: number;
  /** Start of the process to its first request for jobs. */
  readonly firstTakeMs: Summary | undefined;
  readonly jobsPerS: number | undefined;
  /** Start of a prompt to its end, as ComfyUI tells. */
  readonly comfyMs: Summary | undefined;
  /** Job handed over to result received, less ComfyUI's part. Of jobs that come one by one: others also wait. */
  readonly overheadMs: Summary | undefined;
  /** ComfyUI's pauses between jobs that were waiting. */
  readonly idleMs: Summary | undefined;
  /** The longest turn of the event loop in each round, which the worker itself measures in steps of 10 ms. */
  readonly longestTurnMs: Summary | undefined;
  readonly resultBytes: Summary | undefined;
  readonly cpuMsPerJob: number | undefined;
  readonly peakBytes: number | undefined;
  readonly memory: MemoryOverTime | undefined;
}

export const NOT_MEASURED = {
  firstTakeMs: undefined,
  jobsPerS: undefined,
  comfyMs: undefined,
  overheadMs: undefined,
  idleMs: undefined,
  longestTurnMs: undefined,
  resultBytes: undefined,
  cpuMsPerJob: undefined,
  peakBytes: undefined,
  memory: undefined,
} as const satisfies Partial<Figures>;
