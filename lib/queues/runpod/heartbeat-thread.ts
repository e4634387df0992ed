/**
 * The heartbeat's thread. It has an event loop of its own, so pings go on while the main thread is busy; when the main
 * thread is stuck for too long, pings stop. It loads next to nothing, so that it does not delay the first job. Only
 * `heartbeat.ts` starts it, and it ends with the process.
 */

import { writeSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { describeError } from '../../errors.ts';
import type { LogLevel, LogOptions } from '../../log.ts';
import { sendPing, type PingTarget } from './ping.ts';

export interface HeartbeatThreadData {
  readonly target: PingTarget;
  readonly intervalMs: number;
  /** How long the main thread may stand still before pings stop. */
  readonly stuckMs: number;
  /** How often the main thread counts up `turns`, and this thread checks it. */
  readonly checkIntervalMs: number;
  readonly turns: Int32Array;
  /** For the one line that the main thread cannot write, because it is stuck: it goes straight to the file descriptor. */
  readonly log: {
    readonly level: LogLevel;
    readonly format: LogOptions['format'];
    readonly fd: number;
  };
}

/** Messages to the main thread, which logs them. */
export type HeartbeatEvent =
  | { readonly kind: 'failing'; readonly reason: string }
  | { readonly kind: 'recovered' }
  | { readonly kind: 'unstuck'; readonly silentMs: number };

/**
 * Watches the event loop of another thread. Silence is counted in checks, not in time: a process that was frozen and
 * thawed has missed one check, however long it slept, and does not count as stuck.
 */
export class StuckWatch {
  readonly #data: Pick<HeartbeatThreadData, 'turns' | 'stuckMs' | 'checkIntervalMs'>;
  #lastTurn = -1;
  #silentChecks = 0;

  constructor(data: Pick<HeartbeatThreadData, 'turns' | 'stuckMs' | 'checkIntervalMs'>) {
    this.#data = data;
  }

  get silentMs(): number {
    return this.#silentChecks * this.#data.checkIntervalMs;
  }

  get stuck(): boolean {
    return this.silentMs >= this.#data.stuckMs;
  }

  /** To be called every `checkIntervalMs`. */
  check(): void {
    const turn = Atomics.load(this.#data.turns, 0);
    this.#silentChecks = turn === this.#lastTurn ? this.#silentChecks + 1 : 0;
    this.#lastTurn = turn;
  }
}

class HeartbeatThread {
  readonly #data: HeartbeatThreadData;
  readonly #watch: StuckWatch;
  readonly #send: (event: HeartbeatEvent) => void;
  /** Comma-separated. */
  jobIds = '';
  #isFailing = false;
  /** How long the main thread has been silent when it counts as stuck; 0 when it does not. */
  #stuckForMs = 0;

  constructor(data: HeartbeatThreadData, send: (event: HeartbeatEvent) => void) {
    this.#data = data;
    this.#watch = new StuckWatch(data);
    this.#send = send;
  }

  checkMainThread(): void {
    this.#watch.check();
    const wasStuckForMs = this.#stuckForMs;
    this.#stuckForMs = this.#watch.stuck ? this.#watch.silentMs : 0;
    if (wasStuckForMs === 0 && this.#stuckForMs > 0) void this.#logStuck(this.#stuckForMs);
    if (wasStuckForMs > 0 && this.#stuckForMs === 0) {
      this.#send({ kind: 'unstuck', silentMs: wasStuckForMs });
    }
  }

  /** Pings for ever: at once, then every interval. A ping that takes longer delays the next one. */
  async run(): Promise<never> {
    const { intervalMs } = this.#data;
    for (;;) {
      const startedAt = performance.now();
      if (this.#stuckForMs === 0) await this.#ping();
      const leftMs = intervalMs - (performance.now() - startedAt);
      await sleep(Math.max(leftMs, intervalMs / 10));
    }
  }

  async #ping(): Promise<void> {
    let problem: string | undefined;
    for (const delayMs of [undefined, ...RETRY_DELAYS_MS]) {
      if (delayMs) await sleep(delayMs);
      const attempt = await this.#pingOnce();
      problem = attempt.problem;
      if (!attempt.isTransient) break;
    }
    if (problem !== undefined && !this.#isFailing) this.#send({ kind: 'failing', reason: problem });
    if (problem === undefined && this.#isFailing) this.#send({ kind: 'recovered' });
    this.#isFailing = problem !== undefined;
  }

  async #pingOnce(): Promise<{ problem?: string; isTransient?: boolean }> {
    const { target, intervalMs } = this.#data;
    const timeoutMs = 2 * intervalMs;
    const jobs = this.jobIds ? { job_id: this.jobIds } : {};
    try {
      const status = await sendPing(target, jobs, timeoutMs);
      if (status < 400) return {};
      return { problem: `status ${status}`, isTransient: TRANSIENT_STATUS.has(status) };
    } catch (error) {
      const timedOut = (error as Error).name === 'AbortError';
      if (timedOut) return { problem: `no answer within ${timeoutMs} ms` };
      return { problem: describeError(error), isTransient: true };
    }
  }

  /** The logger is loaded only when it is needed. */
  async #logStuck(silentMs: number): Promise<void> {
    const { level, format, fd } = this.#data.log;
    const destination = new Writable({
      write: (line: Buffer, _encoding, done) => {
        writeSync(fd, line);
        done();
      },
    });
    const { createLog } = await import('../../log.ts');
    const log = await createLog({ level, format, destination });
    log.error({ silentMs }, 'The main thread is stuck: the heartbeat stops until it turns again');
  }
}

/** Delays before the second, third and fourth attempt of one ping. */
const RETRY_DELAYS_MS = [0, 2000, 4000];
const TRANSIENT_STATUS = new Set([429, 500, 502, 503, 504]);

if (!isMainThread) {
  const data = workerData as HeartbeatThreadData;
  const thread = new HeartbeatThread(data, (event) => parentPort?.postMessage(event));
  parentPort?.on('message', (jobIds: string) => (thread.jobIds = jobIds));
  setInterval(() => thread.checkMainThread(), data.checkIntervalMs);
  await thread.run();
}
