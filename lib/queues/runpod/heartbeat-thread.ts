/**
 * The thread of the heartbeat: pings with an event loop of its own, so that a busy main thread never looks dead, and
 * stops vouching for a main thread that has been stuck too long. It loads next to nothing: it must not delay the first
 * job. Only `heartbeat.ts` starts it, and it ends with the process.
 */

import { writeSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { describeError } from '../../errors.ts';
import type { LogLevel, LogOptions } from '../../log.ts';
import { sendPing, type ReadyPingTarget } from './ping.ts';
import { lookIntervalMs, StuckWatch } from './stuck-watch.ts';

/** What the thread is told at its start. */
export interface HeartbeatThreadData {
  readonly target: ReadyPingTarget;
  readonly intervalMs: number;
  readonly stuckMs: number;
  /** The main thread counts up here as long as its event loop turns. */
  readonly turns: Int32Array;
  /** The log for the moment when the main thread cannot write one: lines go straight to the file descriptor. */
  readonly log: {
    readonly level: LogLevel;
    readonly format: LogOptions['format'];
    readonly fd: number;
  };
}

/** What the thread tells. A stuck main thread could not hear so: that it turns again is told when it does. */
export type HeartbeatNews =
  | { readonly kind: 'failing'; readonly reason: string }
  | { readonly kind: 'answered' }
  | { readonly kind: 'turning'; readonly silentMs: number };

class HeartbeatThread {
  readonly #data: HeartbeatThreadData;
  readonly #watch: StuckWatch;
  readonly #tell: (news: HeartbeatNews) => void;
  #jobIds = '';
  #failing = false;
  /** How long the main thread has been silent, while pings are held back for it. */
  #stuckForMs = 0;

  constructor(data: HeartbeatThreadData, tell: (news: HeartbeatNews) => void) {
    this.#data = data;
    this.#watch = new StuckWatch(data.turns, data.stuckMs);
    this.#tell = tell;
  }

  /** Comma-separated ids. */
  setJobs(jobIds: string): void {
    this.#jobIds = jobIds;
  }

  /** Looks at the main thread. */
  look(): void {
    this.#watch.look();
    if (this.#watch.stuck) this.#noteStuck();
    else this.#noteTurning();
  }

  /** Pings for ever: at once, then every interval. A ping that takes longer than that delays the next one. */
  async run(): Promise<never> {
    const { intervalMs } = this.#data;
    for (;;) {
      const started = performance.now();
      if (this.#stuckForMs === 0) await this.#ping();
      const left = intervalMs - (performance.now() - started);
      await sleep(Math.max(left, intervalMs / 10));
    }
  }

  async #ping(): Promise<void> {
    const problem = await this.#pingWithRetries();
    if (problem !== undefined && !this.#failing) this.#tell({ kind: 'failing', reason: problem });
    if (problem === undefined && this.#failing) this.#tell({ kind: 'answered' });
    this.#failing = problem !== undefined;
  }

  /** What went wrong in the end, if anything did. */
  async #pingWithRetries(): Promise<string | undefined> {
    let problem: string | undefined;
    for (const delayMs of [undefined, ...RETRY_DELAYS_MS]) {
      if (delayMs) await sleep(delayMs);
      const outcome = await this.#pingOnce();
      problem = outcome.problem;
      if (!outcome.retry) break;
    }
    return problem;
  }

  async #pingOnce(): Promise<{ problem?: string; retry?: boolean }> {
    const { target, intervalMs } = this.#data;
    const jobs = this.#jobIds ? { job_id: this.#jobIds } : {};
    try {
      const status = await sendPing(target, jobs, 2 * intervalMs);
      return status < 400 ? {} : { problem: `status ${status}`, retry: PASSING.has(status) };
    } catch (error) {
      const timedOut = (error as Error).name === 'AbortError';
      return timedOut
        ? { problem: `no answer within ${2 * intervalMs} ms` }
        : { problem: describeError(error), retry: true };
    }
  }

  #noteStuck(): void {
    const before = this.#stuckForMs;
    this.#stuckForMs = this.#watch.silentMs;
    if (before === 0) void this.#logStuck(this.#stuckForMs);
  }

  #noteTurning(): void {
    if (this.#stuckForMs > 0) this.#tell({ kind: 'turning', silentMs: this.#stuckForMs });
    this.#stuckForMs = 0;
  }

  /** The main thread writes no logs now, so the line is written here; the logger is loaded only for this. */
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

/** Waits before the second, third and fourth try of one ping. */
const RETRY_DELAYS_MS = [0, 2000, 4000];
const PASSING = new Set([429, 500, 502, 503, 504]);

const data = workerData as HeartbeatThreadData;
const thread = new HeartbeatThread(data, (news) => parentPort?.postMessage(news));
parentPort?.on('message', (jobIds: string) => thread.setJobs(jobIds));
setInterval(() => thread.look(), lookIntervalMs(data.stuckMs));
await thread.run();
