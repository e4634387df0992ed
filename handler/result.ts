import type { PromptOutcome } from '../lib/comfy/backend.ts';
import { describeError, isWorkerError, type ErrorCode } from '../lib/errors.ts';
import { toJobError, type JobResult } from '../lib/queues/queue.ts';
import type { OutputOptions } from './request/output-options.ts';
import { maybeMissing } from './outputs/output-expect.ts';
import { present, type Outputs } from './outputs/output-items.ts';
import type { ResultReport } from './result-report.ts';

/**
 * What a handler returns for a job. `errors` goes with outputs, `details` with `error`; the runtime moves `error` beside
 * `output`, which is what makes the platform count the job as failed.
 */
export type Result = Partial<ResultReport> & {
  /** What `"randomize"` became, by `node id.input`. */
  readonly randomized?: Readonly<Record<string, string>>;
} & (
    | (Outputs & { readonly errors?: readonly string[] })
    | { readonly status: 'success_no_images'; readonly images: readonly [] }
    | ({ readonly error: string; readonly details?: readonly string[] } & Partial<Outputs>)
  );

export interface ResultParts {
  readonly outputs: Outputs;
  /** What went wrong after the prompt had ended, in order. */
  readonly problems: readonly string[];
  readonly expect?: OutputOptions['expect'];
}

/** The shapes clients know; see `docs/switching.md`. */
export function toResult(outcome: PromptOutcome, parts: ResultParts): Result {
  const { outputs, problems, expect } = parts;
  if (outcome.ending === 'interrupted') return interrupted(outcome.problems, parts);
  const errors = [...outcome.problems, ...problems];
  const missing = maybeMissing(outputs, expect);
  if (missing !== undefined) return failed(missing, errors, outputs);
  if (hasFiles(outputs) || (outputs.texts && errors.length === 0))
    return { ...outputs, ...present({ errors }) };
  if (errors.length > 0) return failed('Job processing failed', errors, outputs);
  return { status: 'success_no_images', images: [] };
}

/** Never a success: somebody cut the work short. What was saved before is handed over all the same. */
function interrupted(
  outcomeProblems: readonly string[],
  { outputs, problems }: ResultParts,
): Result {
  const error = outcomeProblems.at(-1) ?? 'Workflow execution interrupted';
  return failed(error, [...outcomeProblems.slice(0, -1), ...problems], outputs);
}

function failed(error: string, details: readonly string[], outputs: Outputs): Result {
  return { error, ...present({ details }), ...present(outputs) };
}

/** Texts alone do not make up for a workflow that failed. */
function hasFiles({ images, videos, audio, files }: Outputs): boolean {
  return [images, videos, audio, files].some((some) => some !== undefined && some.length > 0);
}

/** Splits what the job comes to into output and error. `code` is that of the error. */
export function toJobResult(result: Result, code: ErrorCode): JobResult {
  if (!('error' in result) || !result.error) return { output: result };
  const { error, ...output } = result;
  return {
    ...(Object.keys(output).length > 0 && { output }),
    error: toJobError(code, error),
  };
}

/** An error on the line, as the caller sees it: the text, never a stack or a path. */
export function toFailure(error: unknown): JobResult {
  if (!isWorkerError(error)) {
    const text = `An unexpected error occurred: ${describeError(error)}`;
    return { error: toJobError('worker.unexpected', text) };
  }
  const { code, message, details } = error;
  return { error: toJobError(code, message), ...(details && { output: { details } }) };
}
