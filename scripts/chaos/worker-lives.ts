import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { epochMs } from '../../lib/simulator/comfy/event-log.ts';

const ENTRY = fileURLToPath(new URL('../../handler/index.ts', import.meta.url));
const PRELOAD = new URL('./clock-step.ts', import.meta.url).href;

/** How a process of the worker ended. */
export interface WorkerEnd {
  readonly at: number;
  /** Exit code or name of the signal. */
  readonly how: number | string;
  /** The signal of the chaos run that ended it, if any. */
  readonly after: NodeJS.Signals | undefined;
}

interface Options {
  readonly environment: Readonly<Record<string, string>>;
  /** Gets all output of all processes. */
  readonly logFile: string;
  readonly folder: string;
  /** Limit of the JavaScript heap. */
  readonly heapMb: number | undefined;
  /** Called when a process has ended, before the next one starts. */
  readonly onEnd: () => void | Promise<void>;
}

/** The worker, one process after the other: when one ends, the next is started, as a platform does. */
export class WorkerLives implements AsyncDisposable {
  readonly ends: WorkerEnd[] = [];
  readonly #options: Options;
  readonly #done: Promise<void>;
  #child: ChildProcess | undefined;
  #signalled: NodeJS.Signals | undefined;
  #isFinishing = false;
  #shiftMs = 0;

  constructor(options: Options) {
    this.#options = options;
    this.#done = this.#live();
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** False while there is no process, or when one has been told to end already. */
  signal(signal: NodeJS.Signals): boolean {
    const isFree = this.#child !== undefined && this.#signalled === undefined;
    if (!isFree) return false;
    this.#signalled = signal;
    return this.#child?.kill(signal) ?? false;
  }

  /** Sets the wall clock of the worker forward, or back, by this much from the true time. Later processes have it too. */
  shiftClock(shiftMs: number): boolean {
    this.#shiftMs = shiftMs;
    return this.#child?.send({ shiftMs }) ?? false;
  }

  /** Resident memory in bytes, and open sockets, of the process itself. Undefined while there is none. */
  async usage(): Promise<{ readonly residentBytes: number; readonly sockets: number } | undefined> {
    const { pid } = this;
    if (pid === undefined) return undefined;
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1];
    if (kilobytes === undefined) return undefined;
    const files = await readdir(`/proc/${pid}/fd`).catch(() => []);
    const links = await Promise.all(
      files.map((file) => readlink(`/proc/${pid}/fd/${file}`).catch(() => '')),
    );
    const sockets = links.filter((link) => link.startsWith('socket:')).length;
    return { residentBytes: Number(kilobytes) * 1024, sockets };
  }

  /** SIGTERM to the last process. Resolves to how it ended; SIGKILL after `timeoutMs`. */
  async finish(timeoutMs: number): Promise<WorkerEnd | undefined> {
    this.#isFinishing = true;
    this.#signalled ??= 'SIGTERM';
    this.#child?.kill('SIGTERM');
    const waiting = new AbortController();
    const kill = sleep(timeoutMs, undefined, { signal: waiting.signal }).then(
      () => this.#child?.kill('SIGKILL'),
      () => undefined,
    );
    await this.#done;
    waiting.abort();
    await kill;
    return this.ends.at(-1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isFinishing = true;
    this.#child?.kill('SIGKILL');
    await this.#done;
  }

  async #live(): Promise<void> {
    while (!this.#isFinishing) {
      const how = await this.#runOnce();
      this.ends.push({ at: epochMs(), how, after: this.#signalled });
      this.#child = undefined;
      await sleep(RESTART_MS);
      await this.#options.onEnd();
    }
  }

  async #runOnce(): Promise<number | string> {
    const { environment, folder, logFile, heapMb } = this.#options;
    this.#signalled = undefined;
    const heap = heapMb === undefined ? [] : [`--max-old-space-size=${heapMb}`];
    const child = spawn(
      process.execPath,
      [...heap, '--disable-warning=ExperimentalWarning', '--import', PRELOAD, ENTRY],
      { cwd: folder, env: environment, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] },
    );
    this.#child = child;
    const write = (chunk: Buffer) => appendFileSync(logFile, chunk);
    child.stdout?.on('data', write);
    child.stderr?.on('data', write);
    child.on('error', () => undefined);
    if (this.#shiftMs !== 0) child.send({ shiftMs: this.#shiftMs });
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
    return code ?? signal ?? 'unknown';
  }
}

const RESTART_MS = 200;
