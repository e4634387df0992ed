import { constants } from 'node:os';
import { performance } from 'node:perf_hooks';
import { WorkerError } from '../errors.ts';
import { exitCode } from './conclude.ts';
import type { Screen } from './screen.ts';

/**
 * Runs work that Ctrl-C and a timeout cancel.
 * @throws WorkerError `job.timeout`.
 */
export async function cancellable(
  { screen, timeoutS }: { readonly screen: Screen; readonly timeoutS: number },
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

/** The first SIGINT or SIGTERM aborts the signal and calls `onFirst`; the second ends the process at once. */
function listenForInterrupt(onFirst: () => void) {
  const controller = new AbortController();
  let firstAt = 0;
  const listen = (name: 'SIGINT' | 'SIGTERM') => {
    if (!controller.signal.aborted) {
      firstAt = performance.now();
      controller.abort(new Error('Cancelled'));
      onFirst();
    } else if (performance.now() - firstAt > ECHO_MS) {
      process.exit(128 + constants.signals[name]);
    }
  };
  process.on('SIGINT', listen).on('SIGTERM', listen);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => void process.off('SIGINT', listen).off('SIGTERM', listen),
  };
}

/** Under `npm start` Ctrl-C arrives twice: from the terminal and from npm. A second signal this soon is ignored. */
const ECHO_MS = 100;
