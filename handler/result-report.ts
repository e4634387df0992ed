import type { PromptOutcome } from '../lib/comfy/comfy.ts';
import { VERSION } from '../lib/version.ts';
import type { Timings } from './stopwatch.ts';

/** What is told of the job itself when `output.details` asks for it. */
export interface ResultReport {
  readonly timings: ResultTimings;
  readonly versions: { readonly worker: string; readonly comfyui?: string };
}

/** Milliseconds. */
interface ResultTimings {
  /** `cold`: the first workflow since this worker started, which usually has models to load. */
  readonly start: 'cold' | 'warm';
  /** Waiting for ComfyUI to be there. */
  readonly readyMs: number;
  /** Putting inputs into ComfyUI. */
  readonly stagedMs: number;
  /** In ComfyUI's queue. */
  readonly queuedMs: number;
  readonly executingMs: number;
  /** By node id. Cached nodes are not there. */
  readonly nodes: Readonly<Record<string, number>>;
  readonly fetchedMs: number;
  readonly convertedMs: number;
  readonly deliveredMs: number;
}

export interface ReportParts {
  readonly laps: Timings;
  readonly isFirst: boolean;
  readonly comfyVersion: string | undefined;
}

export function toReport(
  { timings }: Pick<PromptOutcome, 'timings'>,
  { laps, isFirst, comfyVersion }: ReportParts,
): ResultReport {
  const { queuedMs, startedMs, endedMs, nodes } = timings;
  return {
    timings: {
      start: isFirst ? 'cold' : 'warm',
      readyMs: laps.ready ?? 0,
      stagedMs: laps.staged ?? 0,
      queuedMs: round(Math.max(0, startedMs - queuedMs)),
      executingMs: round(endedMs - startedMs),
      nodes,
      fetchedMs: laps.fetched ?? 0,
      convertedMs: laps.converted ?? 0,
      deliveredMs: laps.delivered ?? 0,
    },
    versions: {
      worker: VERSION,
      ...(comfyVersion === undefined ? {} : { comfyui: comfyVersion }),
    },
  };
}

const round = (ms: number) => Math.round(ms * 10) / 10;
