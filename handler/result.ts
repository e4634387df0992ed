import type { ComfyBackend, PromptFailure, PromptOutcome } from '../lib/comfy/backend.ts';
import { describeError, isWorkerError, type ErrorCode, shownLines } from '../lib/errors.ts';
import { withoutPaths } from '../lib/http/redact.ts';
import type { Logger } from '../lib/log.ts';
import { toJobError, type JobError, type JobResult } from '../lib/queues/queue.ts';
import { VERSION } from '../lib/version.ts';
import type { Timings } from './job-scope.ts';
import { describeMissing, withoutEmpty, type Outputs } from './outputs/group-outputs.ts';
import type { OutputOptions } from './request/output-options.ts';

/** Members of the result beside the outputs. */
interface Extras extends Partial<RunDetails> {
  /** Corrected file names, files nobody uses, options that were ignored. */
  readonly notes?: readonly string[];
  /** The values that replaced `"randomize"` in overrides, by `node id.input`. */
  readonly randomized?: Readonly<Record<string, string>>;
  /** ComfyUI is the embedded simulation. */
  readonly simulated?: true;
}

export interface ResultParts {
  readonly outputs: Outputs;
  /** Problems after the prompt had ended, in order. */
  readonly problems: readonly string[];
  readonly expect?: OutputOptions['expect'];
  /** Files that ComfyUI listed, and how many of them were fetched. */
  readonly fileCounts?: { readonly listed: number; readonly fetched: number };
  readonly extras?: Extras;
  /** Present when the prompt did not succeed. */
  readonly promptFailure?: PromptFailure | undefined;
}

/** The result of a prompt that has ended, in the shapes clients know: see `docs/switching.md`. */
export function toResult(outcome: PromptOutcome, parts: ResultParts): JobResult {
  const { outputs, expect, fileCounts = { listed: 0, fetched: 0 }, extras = {} } = parts;
  const errors = shownLines([...outcome.problems, ...parts.problems]).map(shownToCaller);
  const failed = (code: ErrorCode, message: string, details: readonly string[]): JobResult => {
    const output = {
      ...withoutEmpty({ details }),
      ...failureReport(code, parts.promptFailure),
      ...withoutEmpty(outputs),
      ...extras,
    };
    const error = toJobError(code, message);
    return Object.keys(output).length > 0 ? { output, error } : { error };
  };

  // Never a success, because the work was cut short. Files saved before are still returned.
  if (outcome.ending === 'interrupted') {
    const message = outcome.problems.at(-1) ?? 'Workflow execution interrupted';
    const details = [...outcome.problems.slice(0, -1), ...parts.problems];
    return failed('comfy.interrupted', message, shownLines(details).map(shownToCaller));
  }
  const missing = describeMissing(outputs, expect);
  if (missing !== undefined) return failed('output.too_few', missing, errors);

  const { images, videos = [], audio = [], files = [], texts } = outputs;
  const hasFiles = [images, videos, audio, files].some((group) => group.length > 0);
  // Texts alone do not make up for a workflow that failed.
  if (hasFiles || (texts && errors.length === 0))
    return { output: { ...outputs, ...withoutEmpty({ errors }), ...extras } };
  if (errors.length === 0)
    return { output: { status: 'success_no_images', images: [], ...extras } };
  return failed(codeOfLoss(outcome, fileCounts), 'Job processing failed', errors);
}

/**
 * `output.failure` of a job whose prompt did not succeed. A job that failed before ComfyUI had its workflow has none: its
 * result is that of the Python worker.
 */
function failureReport(code: ErrorCode, failure: PromptFailure | undefined) {
  if (!failure) return {};
  const { activity, nodeId, nodeTitle, progress, logTail, versions, memory } = failure;
  const hasMemory = Object.values(memory).some((bytes) => bytes !== undefined);
  return {
    failure: {
      code,
      ...(nodeId !== undefined && { node: nodeId }),
      ...(nodeTitle !== undefined && { title: nodeTitle }),
      activity,
      progress,
      ...(logTail.length > 0 && { log_tail: logTail }),
      versions: { worker: VERSION, ...defined(versions) },
      ...(hasMemory && { memory: defined(memory) }),
    },
  };
}

const defined = (members: object) =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));

/** A problem without folders of the server. Nodes and libraries quote them. */
const shownToCaller = (problem: string) => withoutPaths(problem);

/** Where the files were lost: in ComfyUI, on the way from there, or on the way to a store. */
function codeOfLoss(
  { ending }: PromptOutcome,
  { listed, fetched }: { readonly listed: number; readonly fetched: number },
): ErrorCode {
  if (ending === 'failed' || listed === 0) return 'comfy.execution_failed';
  return fetched === 0 ? 'comfy.request_failed' : 'storage.upload_failed';
}

/**
 * The result of a job that ended with an error, with what was made before. Callers get the text and details of the error,
 * never a stack or a path.
 */
export function toFailure(
  error: unknown,
  log: Logger,
  { outputs = { images: [] }, problems = [], extras, promptFailure }: Partial<ResultParts> = {},
): JobResult {
  const hasFiles = Object.keys(withoutEmpty(outputs)).length > 0;
  const failed = (jobError: JobError, details: readonly string[] = []): JobResult => {
    const output = {
      ...withoutEmpty({ details: shownLines([...details, ...problems]).map(shownToCaller) }),
      ...failureReport(jobError.code, promptFailure),
      ...withoutEmpty(outputs),
      ...(hasFiles && extras),
    };
    return { error: jobError, ...(Object.keys(output).length > 0 && { output }) };
  };
  if (!isWorkerError(error)) {
    log.error({ err: error }, 'Job failed unexpectedly');
    const text = `An unexpected error occurred: ${describeError(error)}`;
    return failed(toJobError('worker.unexpected', text));
  }
  const { code, message, details } = error;
  log.warn({ code, reason: describeError(error) }, 'Job failed');
  return failed(toJobError(code, message), details);
}

/** Members that `output.details` adds to the result. All times are in milliseconds. */
interface RunDetails {
  readonly timings: {
    /** `cold`: the first prompt since this worker started, which usually has models to load. */
    readonly start: 'cold' | 'warm';
    /** Waiting for ComfyUI to answer. */
    readonly readyMs: number;
    /** Resolving the workflow, and putting input files into ComfyUI. */
    readonly stagedMs: number;
    /** Waiting in ComfyUI's queue. */
    readonly queuedMs: number;
    readonly executingMs: number;
    /** By node id. Cached nodes are missing. */
    readonly nodes: Readonly<Record<string, number>>;
    readonly fetchedMs: number;
    readonly convertedMs: number;
    readonly deliveredMs: number;
  };
  readonly versions: { readonly worker: string; readonly comfyui?: string };
}

export async function describeRun(
  { timings }: Pick<PromptOutcome, 'timings'>,
  options: {
    readonly comfy: Pick<ComfyBackend, 'version'>;
    readonly timings: Timings;
    readonly signal: AbortSignal;
    readonly isColdStart: boolean;
  },
): Promise<RunDetails> {
  const { comfy, timings: phases, signal, isColdStart } = options;
  const comfyVersion = await comfy.version(signal);
  return {
    timings: {
      start: isColdStart ? 'cold' : 'warm',
      readyMs: phases.ready ?? 0,
      stagedMs: phases.staged ?? 0,
      queuedMs: round(Math.max(0, timings.startedMs - timings.queuedMs)),
      executingMs: round(timings.endedMs - timings.startedMs),
      nodes: timings.nodes,
      fetchedMs: phases.fetched ?? 0,
      convertedMs: phases.converted ?? 0,
      deliveredMs: phases.delivered ?? 0,
    },
    versions: { worker: VERSION, ...(comfyVersion && { comfyui: comfyVersion }) },
  };
}

const round = (ms: number) => Math.round(ms * 10) / 10;
