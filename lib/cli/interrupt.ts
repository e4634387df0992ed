import { constants } from 'node:os';
import { performance } from 'node:perf_hooks';

/** Ctrl-C, while something can be cancelled. Disposed, it leaves signals to Node again. */
export interface Interrupt extends Disposable {
  readonly signal: AbortSignal;
}

/** The first SIGINT or SIGTERM aborts the signal and is told to `onFirst`; the second ends the process at once. */
export function listenForInterrupt(onFirst: () => void): Interrupt {
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

/** Ctrl-C under `npm start` arrives twice within moments: from the terminal, and passed on by npm. */
const ECHO_MS = 100;
