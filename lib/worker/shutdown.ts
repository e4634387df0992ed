import { constants } from 'node:os';
import { performance } from 'node:perf_hooks';
import { WorkerError } from '../errors.ts';
import type { Logger } from '../log.ts';

interface ShutdownOptions {
  readonly log: Logger;
  /** Emits the signals; `process` when left out. */
  readonly source?: SignalSource;
  /** Ends the process; `process.exit` when left out. */
  readonly exit?: (code: number) => void;
}

interface SignalSource {
  on(name: StopSignal, listener: (name: StopSignal) => void): unknown;
  off(name: StopSignal, listener: (name: StopSignal) => void): unknown;
}

type StopSignal = (typeof STOP_SIGNALS)[number];
const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/** Signals that stop the process. Disposing it gives them back to Node. */
export interface Shutdown extends Disposable {
  /** Aborted at the first signal; the reason is a `WorkerError` with code `job.stopped`. */
  readonly signal: AbortSignal;
  /** Calls `stop` at the first signal, or at once if it has already come. */
  onStop(stop: () => void): void;
}

/** The first SIGTERM or SIGINT lets running jobs finish, the second one ends the process at once. */
export function listenForShutdown(options: ShutdownOptions): Shutdown {
  const { log, source = process, exit = (code: number) => process.exit(code) } = options;
  const controller = new AbortController();
  const { signal } = controller;
  let firstAt = 0;

  const onSignal = (name: StopSignal) => {
    if (!signal.aborted) {
      firstAt = performance.now();
      log.info({ signal: name }, 'Stopping: no more jobs are taken. A second signal ends at once');
      controller.abort(new WorkerError('job.stopped', `The worker was told to stop (${name})`));
    } else if (name === 'SIGTERM' || performance.now() - firstAt > ECHO_MS) {
      log.warn({ signal: name }, 'A second signal: the process ends at once');
      exit(128 + constants.signals[name]);
    }
  };

  for (const name of STOP_SIGNALS) source.on(name, onSignal);
  return {
    signal,
    onStop: (stopJobs) => {
      if (signal.aborted) stopJobs();
      else signal.addEventListener('abort', stopJobs, { once: true });
    },
    [Symbol.dispose]: () => {
      for (const name of STOP_SIGNALS) source.off(name, onSignal);
    },
  };
}

/** With `npm start`, one Ctrl-C arrives twice within milliseconds: from the terminal, and passed on by npm. */
const ECHO_MS = 100;
