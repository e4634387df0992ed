import { WorkerError } from '../errors.ts';
import { exitCode } from './exit-codes.ts';
import { listenForInterrupt } from './interrupt.ts';
import type { Screen } from './screen.ts';

export interface CancellableOptions {
  readonly screen: Screen;
  readonly timeoutS: number;
}

/**
 * Does something that Ctrl-C cancels and that may not take for ever.
 * @throws WorkerError `job.timeout`.
 */
export async function cancellable(
  { screen, timeoutS }: CancellableOptions,
  work: (signal: AbortSignal) => Promise<number>,
): Promise<number> {
  using interrupt = listenForInterrupt(() =>
    screen.problem('Cancelling the job. Ctrl-C again ends at once, and leaves the job alone'),
  );
  const timeout = AbortSignal.timeout(timeoutS * 1000);
  try {
    return await work(AbortSignal.any([interrupt.signal, timeout]));
  } catch (error) {
    if (interrupt.signal.aborted) return exitCode('cancelled');
    if (!timeout.aborted) throw error;
    throw new WorkerError(
      'job.timeout',
      `The job took longer than --timeout ${timeoutS} and was cancelled`,
    );
  }
}
