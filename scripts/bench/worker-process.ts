import { spawn, execFile, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm, readdir, stat, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { usageOf, type Usage } from './process-usage.ts';
import { summarize } from './statistics.ts';

/** The measured worker: a command in its own process group, with its output in a file. */
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
   * The shell is replaced by the command (`exec`), so that signals and figures belong to the command.
   * When `signal` aborts, the worker is stopped and pending calls of {@link whileAlive} reject.
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

  /** Resolves with `work`. @throws Error with the worker's last output if the worker exits first. */
  async whileAlive<T>(work: Promise<T>): Promise<T> {
    const gone = this.#ended.then(async () => {
      throw new Error(`The worker ended early:\n${await this.#lastLines()}`);
    });
    return Promise.race([work, gone]);
  }

  async #lastLines(): Promise<string> {
    const text = await readFile(join(this.#folder, 'worker.log'), 'utf8');
    return text.trimEnd().split('\n').slice(-20).join('\n');
  }

  /** SIGTERM to the whole process group, and SIGKILL if it has not ended in time. */
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

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const ENTRY = `${ROOT}dist/handler/index.js`;

/** The command a container uses. Builds the worker first if `dist/` is missing or older than the sources. */
export async function builtWorkerCommand(): Promise<string> {
  if (await isStale()) await build();
  return `${quoted(process.execPath)} ${quoted(ENTRY)}`;
}

async function isStale(): Promise<boolean> {
  const built = await changedAt(ENTRY);
  const sources = await Promise.all(['handler', 'lib'].map(newestSource));
  return built < Math.max(...sources);
}

async function newestSource(folder: string): Promise<number> {
  const entries = await readdir(`${ROOT}${folder}`, { recursive: true });
  const sources = entries.filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
  return Math.max(
    ...(await Promise.all(sources.map((name) => changedAt(`${ROOT}${folder}/${name}`)))),
  );
}

/** Modification time in milliseconds since the epoch; 0 for a missing file. */
async function changedAt(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  return found?.mtimeMs ?? 0;
}

async function build(): Promise<void> {
  const tsc = `${ROOT}node_modules/typescript/bin/tsc`;
  await promisify(execFile)(process.execPath, [tsc, '-p', `${ROOT}tsconfig.build.json`], {
    cwd: ROOT,
  });
}

function quoted(path: string): string {
  return `'${path.replaceAll("'", String.raw`'\''`)}'`;
}

/** Resident memory during a run, in bytes: medians of the first, second and last third. */
export interface MemoryOverTime {
  readonly first: number;
  readonly second: number;
  readonly last: number;
}

/** Samples resident memory at intervals until {@link stop}. */
export class MemoryWatch {
  readonly #samples: number[] = [];
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  constructor(worker: Pick<WorkerProcess, 'usage'>, intervalMs = 250) {
    this.#done = this.#watch(worker, intervalMs);
  }

  /** Undefined if the run was too short. */
  async stop(): Promise<MemoryOverTime | undefined> {
    this.#stop.abort();
    await this.#done;
    return overTime(this.#samples);
  }

  async #watch(worker: Pick<WorkerProcess, 'usage'>, intervalMs: number): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const usage = await worker.usage();
      if (usage) this.#samples.push(usage.residentBytes);
      await sleep(intervalMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** Undefined for fewer than three samples. */
export function overTime(samples: readonly number[]): MemoryOverTime | undefined {
  const third = samples.length / 3;
  const [first, second, last] = [0, 1, 2].map((index) =>
    summarize(samples.slice(Math.round(index * third), Math.round((index + 1) * third))),
  );
  if (!first || !second || !last) return undefined;
  return { first: first.median, second: second.median, last: last.median };
}
