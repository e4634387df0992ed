import { constants } from 'node:os';
import { performance } from 'node:perf_hooks';
import { WorkerError } from '../errors.ts';
import type { Logger } from '../log.ts';

export interface ShutdownOptions {
  readonly log: Logger;
  /** Where signals come from; the process itself, unless in tests. */
  readonly source?: SignalSource;
  readonly exit?: (code: number) => void;
}

/** As much of `process` as is needed. */
export interface SignalSource {
  on(name: StopSignal, listener: (name: StopSignal) => void): unknown;
  off(name: StopSignal, listener: (name: StopSignal) => void): unknown;
}

type StopSignal = (typeof STOP_SIGNALS)[number];
const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/** Being told to stop. Disposed, it leaves the signals to Node again. */
export interface Shutdown extends Disposable {
  /** Aborts at the first signal, with a `job.stopped`. */
  readonly signal: AbortSignal;
  /** Calls `stop` at the first signal, or at once when that has come already. */
  whenTold(stop: () => void): void;
}

/** The first SIGTERM or SIGINT asks to finish what has been begun, the second one ends the process at once. */
export function listenForShutdown(options: ShutdownOptions): Shutdown {
  const { log, source = process, exit = (code: number) => process.exit(code) } = options;
  const controller = new AbortController();
  const { signal } = controller;
  let firstAt = 0;

  const stop = (name: StopSignal) => {
    if (!signal.aborted) {
      firstAt = performance.now();
      log.info({ signal: name }, 'Stopping: no more jobs are taken. A second signal ends at once');
      controller.abort(new WorkerError('job.stopped', `The worker was told to stop (${name})`));
    } else if (name === 'SIGTERM' || performance.now() - firstAt > ECHO_MS) {
      log.warn({ signal: name }, 'Ending at once, as told');
      exit(128 + constants.signals[name]);
    }
  };

  for (const name of STOP_SIGNALS) source.on(name, stop);
  return {
    signal,
    whenTold: (told) => {
      if (signal.aborted) told();
      else signal.addEventListener('abort', told, { once: true });
    },
    [Symbol.dispose]: () => {
      for (const name of STOP_SIGNALS) source.off(name, stop);
    },
  };
}

/** Ctrl-C under `npm start` arrives twice within moments: from the terminal, and passed on by npm. */
const ECHO_MS = 100;
