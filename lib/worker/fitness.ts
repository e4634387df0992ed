import { describeError, WorkerError } from '../errors.ts';
import type { Logger } from '../log.ts';

/** A check that must pass before this worker takes a job. */
export interface FitnessCheck {
  readonly name: string;
  /** Time for this check, where it differs from the others. */
  readonly timeoutMs?: number;
  /** Returns when the check passes, and throws otherwise. `signal` is aborted when the check takes too long. */
  check(signal: AbortSignal): unknown;
}

export interface FitnessOptions {
  /** Reports a failed check to the platform. */
  readonly report: (failure: { check: string; reason: string }) => Promise<unknown>;
  readonly log: Logger;
  /** Time for each check; 60 s when left out. */
  readonly timeoutMs?: number;
}

/**
 * Runs the checks in order, before the first take. The first failure is reported to the platform and ends the worker.
 * @throws WorkerError `worker.unfit`
 */
export async function ensureFit(
  checks: readonly FitnessCheck[],
  { report, log, timeoutMs = 60_000 }: FitnessOptions,
): Promise<void> {
  for (const fitness of checks) {
    const { name } = fitness;
    const startedAt = performance.now();
    try {
      await within(fitness.timeoutMs ?? timeoutMs, (signal) => fitness.check(signal));
    } catch (error) {
      const reason = describeError(error);
      await report({ check: name, reason });
      throw new WorkerError('worker.unfit', `Fitness check "${name}" failed: ${reason}`, {
        cause: error,
      });
    }
    log.debug(
      { check: name, ms: Math.round(performance.now() - startedAt) },
      'Fitness check passed',
    );
  }
}

/** Does not wait longer for a check that ignores its signal. */
async function within(ms: number, check: (signal: AbortSignal) => unknown): Promise<void> {
  const late = new AbortController();
  const { promise: never, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const reason = new Error(`it did not end within ${ms / 1000} s`);
    late.abort(reason);
    reject(reason);
  }, ms);
  try {
    await Promise.race([never, check(late.signal)]);
  } finally {
    clearTimeout(timer);
  }
}
