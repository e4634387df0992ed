import { Worker } from 'node:worker_threads';
import type { LogLevel, LogOptions, Logger } from '../../log.ts';
import type { HeartbeatEvent, HeartbeatThreadData } from './heartbeat-thread.ts';
import { toPingTarget, type PingSettings, type PingTarget } from './ping.ts';

export interface HeartbeatOptions extends PingSettings {
  readonly intervalMs: number;
  /** How long the main thread's event loop may stand still before pings stop. */
  readonly stuckMs: number;
  readonly log: Logger;
  /** Format of the line that the thread itself writes when the main thread is stuck. */
  readonly logFormat: LogOptions['format'];
  /** File descriptor of that line; standard output when left out. */
  readonly logFd?: number;
}

export interface Heartbeat extends AsyncDisposable {
  /** Ids of the jobs held; sent with the next ping. */
  setJobs(jobIds: Iterable<string>): void;
}

/**
 * Pings the platform from a thread of its own, at once and then every interval, until disposed or the process ends. It does
 * not keep the process alive. Does nothing when the platform wants no pings.
 */
export function startHeartbeat(options: HeartbeatOptions): Heartbeat {
  const target = toPingTarget(options);
  if (!('missing' in target)) return new ThreadedHeartbeat(target, options);
  options.log.debug({ missing: target.missing }, 'No heartbeat: the platform has not set it up');
  return { setJobs: () => undefined, [Symbol.asyncDispose]: () => Promise.resolve() };
}

class ThreadedHeartbeat implements Heartbeat {
  readonly #target: PingTarget;
  readonly #options: HeartbeatOptions;
  /** Counts the turns of this thread's event loop; the heartbeat thread reads it. */
  readonly #turns = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #turnTimer: NodeJS.Timeout;
  #jobIds = '';
  #thread: Worker | undefined;
  #restartTimer: NodeJS.Timeout | undefined;

  constructor(target: PingTarget, options: HeartbeatOptions) {
    this.#target = target;
    this.#options = options;
    const countTurn = () => void Atomics.add(this.#turns, 0, 1);
    this.#turnTimer = setInterval(countTurn, this.#checkIntervalMs).unref();
    this.#start();
  }

  setJobs(jobIds: Iterable<string>): void {
    const list = [...jobIds].join(',');
    if (list === this.#jobIds) return;
    this.#jobIds = list;
    this.#thread?.postMessage(list);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#turnTimer);
    clearTimeout(this.#restartTimer);
    this.#thread?.removeAllListeners();
    await this.#thread?.terminate();
  }

  /** Starts the thread. Should it break, it is started again, because a silent worker would be killed. */
  #start(): void {
    const { intervalMs, stuckMs, log, logFormat: format, logFd: fd = 1 } = this.#options;
    const workerData: HeartbeatThreadData = {
      target: this.#target,
      intervalMs,
      stuckMs,
      checkIntervalMs: this.#checkIntervalMs,
      turns: this.#turns,
      log: { level: log.level as LogLevel, format, fd },
    };
    const thread = new Worker(THREAD_FILE, { workerData, name: 'heartbeat' });
    thread.on('message', (event: HeartbeatEvent) => this.#logEvent(event));
    thread.on('error', (error: unknown) => {
      log.error({ err: error }, 'The heartbeat broke and is started again');
      this.#restartTimer = setTimeout(() => this.#start(), intervalMs).unref();
    });
    thread.postMessage(this.#jobIds);
    thread.unref();
    this.#thread = thread;
  }

  #logEvent(event: HeartbeatEvent): void {
    const { log } = this.#options;
    switch (event.kind) {
      case 'failing':
        log.warn({ reason: event.reason }, 'The heartbeat does not get through');
        break;
      case 'recovered':
        log.info('The heartbeat gets through again');
        break;
      case 'unstuck':
        log.warn(
          { silentMs: event.silentMs },
          'The main thread turns again, and so does the heartbeat',
        );
    }
  }

  get #checkIntervalMs(): number {
    return Math.min(1000, this.#options.stuckMs / 4);
  }
}

/** TypeScript in development, JavaScript when built. */
const THREAD_FILE = new URL(
  import.meta.url.endsWith('.ts') ? './heartbeat-thread.ts' : './heartbeat-thread.js',
  import.meta.url,
);
