import { describeError, errnoOf, isError } from '../errors.ts';

/** `fetch` says only that it failed; the cause says why. */
export function connectionProblem(error: unknown): string {
  const cause = isError(error) && error.cause !== undefined ? error.cause : error;
  return errnoOf(cause) ?? describeError(cause);
}
