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
  readonly ending: PromptOutcome['ending'];
  readonly items: readonly ResultItem[];
  /** Everything that went wrong on the way, in order. */
  readonly problems: readonly string[];
}

/** The shapes clients know; see `docs/switching.md`. */
export function toResult({ ending, items, problems }: ResultParts): Result {
  if (ending === 'interrupted') return interrupted(items, problems);
  if (items.length > 0)
    return problems.length > 0 ? { images: items, errors: problems } : { images: items };
  if (problems.length > 0) return { error: 'Job processing failed', details: problems };
  return { status: 'success_no_images', images: [] };
}

/** Never a success: somebody cut the work short. What was saved before is handed over all the same. */
function interrupted(items: readonly ResultItem[], problems: readonly string[]): Result {
  const [error = 'Workflow execution interrupted', ...details] = problems;
  return {
    error,
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
