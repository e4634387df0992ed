import type { PromptOutcome } from '../lib/comfy/comfy.ts';
import { describeError, isWorkerError } from '../lib/errors.ts';
import type { Base64 } from '../lib/json-body.ts';

/** One delivered file, with the keys in the order clients see. */
export interface ResultItem {
  readonly filename: string;
  readonly type: 'base64' | 's3_url';
  readonly data: string | Base64;
}

/**
 * What a handler returns for a job. `errors` goes with images, `details` with `error`; the runtime moves `error` beside
 * `output`, which is what makes the platform count the job as failed.
 */
export type Result =
  | { images: readonly ResultItem[]; errors?: readonly string[] }
  | { status: 'success_no_images'; images: readonly [] }
  | { error: string; details?: readonly string[]; images?: readonly ResultItem[] };

export interface ResultParts {
  readonly items: readonly ResultItem[];
  /** What went wrong after the prompt had ended, in order. */
  readonly problems: readonly string[];
}

/** The shapes clients know; see `docs/switching.md`. */
export function toResult(outcome: PromptOutcome, { items, problems }: ResultParts): Result {
  if (outcome.ending === 'interrupted') return interrupted(outcome.problems, items, problems);
  const errors = [...outcome.problems, ...problems];
  if (items.length > 0) return errors.length > 0 ? { images: items, errors } : { images: items };
  if (errors.length > 0) return { error: 'Job processing failed', details: errors };
  return { status: 'success_no_images', images: [] };
}

/** Never a success: somebody cut the work short. What was saved before is handed over all the same. */
function interrupted(
  outcomeProblems: readonly string[],
  items: readonly ResultItem[],
  problems: readonly string[],
): Result {
  const details = [...outcomeProblems.slice(0, -1), ...problems];
  return {
    error: outcomeProblems.at(-1) ?? 'Workflow execution interrupted',
    ...(details.length > 0 ? { details } : {}),
    ...(items.length > 0 ? { images: items } : {}),
  };
}

/** An error on the line, as the caller sees it: the text, never a stack or a path. */
export function toFailure(error: unknown): Result {
  if (!isWorkerError(error))
    return { error: `An unexpected error occurred: ${describeError(error)}` };
  return { error: error.message, ...(error.details ? { details: error.details } : {}) };
}
