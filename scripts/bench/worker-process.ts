import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { usageOf, type Usage } from './process-usage.ts';

/** A worker under measurement: a command in a process group of its own, its output in a file. */
export class WorkerProcess implements AsyncDisposable {
  /** `performance.now()` just before the command was started. */
  readonly startedAt: number;
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #log: FileHandle;
  readonly #ended: Promise<unknown>;
  readonly #signal: AbortSignal;

  private constructor(parts: Parts) {
    this.startedAt = parts.startedAt;
    this.#child = parts.child;
    this.#folder = parts.folder;
    this.#log = parts.log;
    this.#signal = parts.signal;
    this.#ended = once(parts.child, 'exit');
    this.#signal.addEventListener('abort', this.#terminate);
  }

  /**
   * The command takes the place of its shell, so that signals and figures are its own.
   * When `signal` aborts, the worker is stopped and those who wait for its work are told.
   */
  static async start(
    command: string,
    env: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<WorkerProcess> {
    signal.throwIfAborted();
    const folder = await mkdtemp(join(tmpdir(), 'comfyui-worker-bench-'));
    const log = await open(join(folder, 'worker.log'), 'w');
    const startedAt = performance.now();
    const child = spawn(`exec ${command}`, {
      shell: true,
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      env: { ...process.env, RESULT_SPOOL_DIR: join(folder, 'results'), ...env },
    });
    return new WorkerProcess({ child, startedAt, folder, log, signal });
  }

  usage(): Promise<Usage | undefined> {
    return usageOf(this.#child.pid ?? 0);
  }

  /** Waits for `work`, but not longer than the worker lives. */
  async whileAlive<T>(work: Promise<T>): Promise<T> {
    const gone = this.#ended.then(async () => {
      throw new Error(`The worker ended before its work did:\n${await this.#lastLines()}`);
    });
    return Promise.race([work, gone]);
  }

  async #lastLines(): Promise<string> {
    const text = await readFile(join(this.#folder, 'worker.log'), 'utf8');
    return text.trimEnd().split('\n').slice(-20).join('\n');
  }

  /** SIGTERM to the whole group, and SIGKILL to what is left of it after a while. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#signal.removeEventListener('abort', this.#terminate);
    this.#terminate();
    await Promise.race([this.#ended, sleep(STOP_MS, undefined, { ref: false })]);
    this.#killGroup('SIGKILL');
    await this.#ended;
    await this.#log.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  readonly #terminate = (): void => {
    this.#killGroup('SIGTERM');
  };

  #killGroup(signal: NodeJS.Signals): void {
    try {
      if (this.#child.pid !== undefined) process.kill(-this.#child.pid, signal);
    } catch {
      // The group has ended already.
    }
  }
}

interface Parts {
  readonly child: ChildProcess;
  readonly startedAt: number;
  readonly folder: string;
  readonly log: FileHandle;
  readonly signal: AbortSignal;
}

const STOP_MS = 15_000;
