import { spawn, type ChildProcess } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { Clock } from '../../../clock.ts';
import { describeError } from '../../../errors.ts';
import { statOf } from '../../../processes/process-stat.ts';
import { settlesWithin } from '../../../waiting.ts';

/** How a process ended, in words: `its process ended (exit code 1)`, or why it could not be started. */
type Ending = string;

interface GroupOptions {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** A line of stdout or stderr, without its line break. */
  readonly onLine: (line: string) => void;
}

/**
 * A process that leads a process group of its own, so that it can be ended together with all its children. Nothing ends
 * it when this process is killed with SIGKILL: Node cannot set Linux's `PR_SET_PDEATHSIG`. See `stray.ts`.
 */
export class ProcessGroup {
  /** Undefined when the program could not be started. */
  readonly pid: number | undefined;
  readonly ended: Promise<Ending>;
  readonly #clock: Clock;
  readonly #child: ChildProcess;
  #hasEnded = false;

  constructor({ command, environment, clock, onLine }: GroupOptions) {
    const [program = '', ...args] = command;
    this.#clock = clock;
    const child = spawn(program, args, {
      detached: true,
      env: { ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.pid = child.pid;
    for (const stream of [child.stdout, child.stderr]) readLines(stream, onLine);
    this.ended = new Promise((resolve) => {
      const end = (ending: Ending) => {
        this.#hasEnded = true;
        process.off('exit', this.#killNow);
        resolve(ending);
      };
      child.once('error', (error) =>
        end(`COMFY_COMMAND could not be started: ${describeError(error)}`),
      );
      child.once('exit', (code, signal) =>
        end(
          `its process ended (${signal === null ? `exit code ${code ?? 0}` : `signal ${signal}`})`,
        ),
      );
    });
    process.on('exit', this.#killNow);
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Ends all processes of the group: SIGTERM, and SIGKILL after `graceMs`. Resolves when the leader is gone. */
  async end(graceMs: number): Promise<void> {
    if (!this.#hasEnded && graceMs > 0) {
      this.#signal('SIGTERM');
      await settlesWithin(this.ended, { ms: graceMs, clock: this.#clock });
    }
    // Also after the leader has ended: its children may live on.
    this.#signal('SIGKILL');
    await this.ended;
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
  }

  #signal(name: NodeJS.Signals): void {
    if (this.pid !== undefined) signalGroup(this.pid, name);
  }

  /** The last chance when this process calls `process.exit`. */
  readonly #killNow = (): void => this.#signal('SIGKILL');
}

/** Sends a signal to all processes of a group; does nothing when there is none. */
export function signalGroup(groupId: number, name: NodeJS.Signals): void {
  try {
    process.kill(-groupId, name);
  } catch {
    // It has ended.
  }
}

/** Splits at line breaks and at the carriage returns of progress bars. A line without an end is cut. */
function readLines(stream: Readable | null, onLine: (line: string) => void): void {
  let rest = '';
  stream?.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split(/\r\n|\n|\r/);
    rest = lines.pop() ?? '';
    if (rest.length > LONGEST_LINE) lines.push(rest.slice(0, LONGEST_LINE));
    if (rest.length > LONGEST_LINE) rest = '';
    lines.forEach(onLine);
  });
  stream?.on('end', () => rest !== '' && onLine(rest));
  stream?.on('error', () => undefined);
}

/** Processor time and disk reads of a group's processes since they started. */
export interface ProcessUse {
  /** Hundredths of a second of processor time. */
  readonly ticks: number;
  /** A number that changes whenever something is read from a disk. */
  readonly reads: number;
}

/** Linux only; elsewhere undefined. */
export async function measureUse(groupId: number): Promise<ProcessUse | undefined> {
  const pids = await readdir('/proc').catch(() => []);
  const uses = await Promise.all(
    pids.filter((name) => /^\d+$/.test(name)).map((pid) => useOf(pid, groupId)),
  );
  const known = uses.filter((use) => use !== undefined);
  if (known.length === 0) return undefined;
  return {
    ticks: known.reduce((sum, { ticks }) => sum + ticks, 0),
    reads: known.reduce((sum, { reads }) => sum + reads, 0),
  };
}

/**
 * Bytes of memory that the group holds: its resident memory without pages of files, which the system can drop. Linux only;
 * elsewhere undefined.
 */
export async function measureMemory(groupId: number): Promise<number | undefined> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  let kilobytes: number | undefined;
  for (const pid of pids) {
    if ((await statOf(pid))?.group !== groupId) continue;
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    for (const [, size] of status.matchAll(/^Rss(?:Anon|Shmem):\s*(\d+) kB/gm))
      kilobytes = (kilobytes ?? 0) + Number(size);
  }
  return kilobytes === undefined ? undefined : kilobytes * 1024;
}

/** Of one process; undefined when it belongs to another group. */
async function useOf(pid: string, groupId: number): Promise<ProcessUse | undefined> {
  const fields = await statOf(pid);
  if (fields?.group !== groupId) return undefined;
  // Bytes that came from a disk, not from the page cache. Not readable in every container, and network disks do not count
  // there; models on them are mapped into memory, and then each part that is fetched is a page fault.
  const io = await readFile(`/proc/${pid}/io`, 'utf8').catch(() => '');
  const bytes = Number(/^read_bytes: (\d+)/m.exec(io)?.[1] ?? 0);
  return { ticks: fields.ticks, reads: bytes + fields.pageFaults };
}

const LONGEST_LINE = 16_384;
