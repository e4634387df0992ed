import { describeError, WorkerError } from '../errors.ts';
import type { Logger } from '../log.ts';

/** Something that must be true before this worker takes a job. */
export interface FitnessCheck {
  readonly name: string;
  /** Resolves when all is well; throws what is wrong. `signal` aborts when it takes too long. */
  check(signal: AbortSignal): unknown;
}

export interface FitnessOptions {
  /** Tells the platform about the check that failed. */
  readonly report: (failure: { check: string; reason: string }) => Promise<unknown>;
  readonly log: Logger;
  /** For each check. */
  readonly timeoutMs?: number;
}

/**
 * Runs the checks one after the other, before anything else is asked of the platform. The first failure is reported to
 * it and ends the worker.
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
      await within(timeoutMs, (signal) => fitness.check(signal));
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

/** The check may not heed its signal; it is not waited for longer than that all the same. */
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
