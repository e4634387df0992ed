import { Worker } from 'node:worker_threads';
import type { LogLevel, LogOptions, Logger } from '../../log.ts';
import type { HeartbeatNews, HeartbeatThreadData } from './heartbeat-thread.ts';
import { preparePing, type PingTarget, type ReadyPingTarget } from './ping.ts';
import { lookIntervalMs } from './stuck-watch.ts';

export interface HeartbeatOptions extends PingTarget {
  readonly intervalMs: number;
  /** Silence of the main thread's event loop after which pings stop. */
  readonly stuckMs: number;
  readonly log: Logger;
  /** How the thread logs that the main thread is stuck; on standard output, unless another descriptor is given. */
  readonly logFormat: LogOptions['format'];
  readonly logFd?: number;
}

export interface Heartbeat extends AsyncDisposable {
  /** The jobs held now, whatever is being done with them; told with the next ping. */
  setJobs(jobIds: Iterable<string>): void;
}

/**
 * Pings the platform from a thread of its own, at once and then every interval, until disposed or the process ends; it
 * does not keep the process alive. Where the platform wants no pings, it does nothing.
 */
export function startHeartbeat(options: HeartbeatOptions): Heartbeat {
  const target = preparePing(options);
  if (!('missing' in target)) return new ThreadedHeartbeat(target, options);
  options.log.debug({ missing: target.missing }, 'No heartbeat: the platform has not set it up');
  return { setJobs: () => undefined, [Symbol.asyncDispose]: () => Promise.resolve() };
}

class ThreadedHeartbeat implements Heartbeat {
  readonly #target: ReadyPingTarget;
  readonly #options: HeartbeatOptions;
  readonly #turns = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #turning: NodeJS.Timeout;
  #jobIds = '';
  #thread: Worker | undefined;
  #restart: NodeJS.Timeout | undefined;

  constructor(target: ReadyPingTarget, options: HeartbeatOptions) {
    this.#target = target;
    this.#options = options;
    const turn = () => void Atomics.add(this.#turns, 0, 1);
    this.#turning = setInterval(turn, lookIntervalMs(options.stuckMs)).unref();
    this.#start();
  }

  setJobs(jobIds: Iterable<string>): void {
    const list = [...jobIds].join(',');
    if (list === this.#jobIds) return;
    this.#jobIds = list;
    this.#thread?.postMessage(list);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#turning);
    clearTimeout(this.#restart);
    this.#thread?.removeAllListeners();
    await this.#thread?.terminate();
  }

  #start(): void {
    const thread = new Worker(THREAD_FILE, { workerData: this.#threadData(), name: 'heartbeat' });
    thread.on('message', (news: HeartbeatNews) => this.#hear(news));
    thread.on('error', (error: unknown) => this.#startAgain(error));
    thread.postMessage(this.#jobIds);
    thread.unref();
    this.#thread = thread;
  }

  /** A thread that ended by itself is a defect, but a silent worker would be killed for it. */
  #startAgain(error: unknown): void {
    this.#options.log.error({ err: error }, 'The heartbeat broke and is started again');
    this.#restart = setTimeout(() => this.#start(), this.#options.intervalMs).unref();
  }

  #threadData(): HeartbeatThreadData {
    const { intervalMs, stuckMs, log, logFormat, logFd = 1 } = this.#options;
    return {
      target: this.#target,
      intervalMs,
      stuckMs,
      turns: this.#turns,
      log: { level: log.level as LogLevel, format: logFormat, fd: logFd },
    };
  }

  #hear(news: HeartbeatNews): void {
    const { log } = this.#options;
    if (news.kind === 'failing') {
      log.warn({ reason: news.reason }, 'The heartbeat does not get through');
    } else if (news.kind === 'answered') {
      log.info('The heartbeat gets through again');
    } else {
      log.warn(
        { silentMs: news.silentMs },
        'The main thread turns again, and so does the heartbeat',
      );
    }
  }
}

/** The thread's file beside this one: TypeScript in development, JavaScript when built. */
const THREAD_FILE = new URL(
  import.meta.url.endsWith('.ts') ? './heartbeat-thread.ts' : './heartbeat-thread.js',
  import.meta.url,
);
