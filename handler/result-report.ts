import type { ComfyBackend } from '../lib/comfy/backend.ts';
import type { PromptOutcome } from '../lib/comfy/backend.ts';
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

/** Tells about jobs, and remembers whether this worker has run one before. */
export class ResultReporter {
  readonly #comfy: Pick<ComfyBackend, 'version'>;
  #runs = 0;

  constructor(comfy: Pick<ComfyBackend, 'version'>) {
    this.#comfy = comfy;
  }

  /** A workflow has run; to be called for every one. */
  countRun(): void {
    this.#runs++;
  }

  async report(
    { timings }: Pick<PromptOutcome, 'timings'>,
    laps: Timings,
    signal: AbortSignal,
  ): Promise<ResultReport> {
    const comfyVersion = await this.#comfy.version(signal);
    return {
      timings: { start: this.#runs > 1 ? 'warm' : 'cold', ...toTimings(timings, laps) },
      versions: { worker: VERSION, ...(comfyVersion && { comfyui: comfyVersion }) },
    };
  }
}

function toTimings(
  { queuedMs, startedMs, endedMs, nodes }: PromptOutcome['timings'],
  laps: Timings,
): Omit<ResultTimings, 'start'> {
  return {
    readyMs: laps.ready ?? 0,
    stagedMs: laps.staged ?? 0,
    queuedMs: round(Math.max(0, startedMs - queuedMs)),
    executingMs: round(endedMs - startedMs),
    nodes,
    fetchedMs: laps.fetched ?? 0,
    convertedMs: laps.converted ?? 0,
    deliveredMs: laps.delivered ?? 0,
  };
}

const round = (ms: number) => Math.round(ms * 10) / 10;
