import { randomUUID } from 'node:crypto';
import { appendFile, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { systemClock } from '../../lib/clock.ts';
import { describeError, errnoOf } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import { isZombie, processExists, statOf } from '../../lib/processes/process-stat.ts';
import { settlesWithin } from '../../lib/waiting.ts';
import { removeWithin } from './removal.ts';

interface LedgerOptions {
  /** Shared by all workers of this machine. */
  readonly folder: string;
  readonly log: Logger;
}

/** `files`: input files and scratch folders. `folder`: a job's own folder in ComfyUI's output folder. */
type PageKind = 'files' | 'folder';

/**
 * A record of what jobs have on disks, on a disk of this machine. A worker that is killed with SIGKILL removes nothing; the
 * next one here reads its record and removes what is named there, except for files that a living worker uses.
 *
 *     <folder>/<host>~<pid>~<start of the process>~<random>/<random>.<kind>
 *
 * There is a page for each job and kind: a line with the version of the format, then a line for each path, written before
 * the path exists. A disk that cannot be written is a warning.
 */
export class FileLedger implements AsyncDisposable {
  readonly #options: LedgerOptions;
  readonly #id: Promise<string> = ownId();
  /** Resolves when the files of killed workers are removed, or after ten seconds. Until then nothing is written. */
  readonly swept: Promise<unknown>;

  constructor(options: LedgerOptions) {
    this.#options = options;
    const sweeping = this.#sweep({ isLast: false });
    this.swept = settlesWithin(sweeping, { ms: SWEEP_MS, clock: systemClock });
  }

  /** A page for one job. Nothing is written before the first path. */
  openPage(kind: PageKind): LedgerPage {
    return new LedgerPage(async () => {
      await this.swept;
      const folder = join(this.#options.folder, await this.#id);
      await mkdir(folder, { recursive: true, mode: 0o700 });
      return join(folder, `${randomUUID()}.${kind}`);
    }, this.#options.log);
  }

  /**
   * Removes the record. Folders of killed workers are removed once more: when ComfyUI lived on, it may have run their
   * prompts to the end since.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.swept;
    const sweeping = this.#sweep({ isLast: true });
    await settlesWithin(sweeping, { ms: SWEEP_MS, clock: systemClock });
    await this.#remove(join(this.#options.folder, await this.#id));
  }

  /** Does not throw. */
  async #sweep(options: { readonly isLast: boolean }): Promise<void> {
    try {
      await this.#sweepKilled(options);
    } catch (error) {
      const reason = describeError(error);
      this.#options.log.warn({ reason }, 'The files of killed workers cannot be looked up');
    }
  }

  async #sweepKilled({ isLast }: { readonly isLast: boolean }): Promise<void> {
    const until = systemClock.now() + SWEEP_MS;
    const { folder, log } = this.#options;
    const workers = await namesIn(folder);
    const areDead = await Promise.all(workers.map(isKilled));
    const killed = workers.filter((_, at) => areDead[at]);
    if (killed.length === 0) return;
    const living = workers.filter((_, at) => !areDead[at]);
    const inUse = await this.#pathsOf(living);
    let count = 0;
    for (const worker of killed) {
      for (const page of await namesIn(join(folder, worker))) {
        if (systemClock.now() > until) return;
        const path = join(folder, worker, page);
        const lines = await readPage(path, log);
        if (!lines) continue;
        count += await this.#removeLines(lines, inUse);
        if (isLast || !page.endsWith('.folder')) await this.#remove(path);
      }
      const rest = await namesIn(join(folder, worker));
      if (rest.length === 0) await this.#remove(join(folder, worker));
    }
    if (!isLast) log.info({ workers: killed.length, count }, 'Files of killed workers are removed');
  }

  async #removeLines(lines: readonly LedgerLine[], inUse: ReadonlySet<string>): Promise<number> {
    const { log } = this.#options;
    let count = 0;
    for (const line of lines) {
      if (!line.isOwn || inUse.has(keyOf(line))) continue;
      try {
        await removeWithin(line.root, line.path);
        count++;
      } catch (error) {
        log.warn({ reason: describeError(error) }, 'A file of a killed worker cannot be removed');
      }
    }
    return count;
  }

  async #pathsOf(workers: readonly string[]): Promise<ReadonlySet<string>> {
    const { folder, log } = this.#options;
    const keys = new Set<string>();
    for (const worker of workers) {
      for (const page of await namesIn(join(folder, worker))) {
        const lines = await readPage(join(folder, worker, page), log);
        lines?.forEach((line) => keys.add(keyOf(line)));
      }
    }
    return keys;
  }

  async #remove(path: string): Promise<void> {
    await rm(path, { recursive: true, force: true }).catch((error: unknown) =>
      this.#options.log.warn({ reason: describeError(error), path }, CANNOT_WRITE),
    );
  }
}

/** The paths of one job. */
export class LedgerPage {
  readonly #newFile: () => Promise<string>;
  readonly #log: Logger;
  #file: string | undefined;

  constructor(newFile: () => Promise<string>, log: Logger) {
    this.#newFile = newFile;
    this.#log = log;
  }

  /** To be called before anything is written at the paths. Does not throw. */
  async add(lines: readonly LedgerLine[]): Promise<void> {
    if (lines.length === 0) return;
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    try {
      const header = this.#file === undefined ? `${JSON.stringify({ version: VERSION })}\n` : '';
      this.#file ??= await this.#newFile();
      await appendFile(this.#file, header + text, { mode: 0o600 });
    } catch (error) {
      this.#log.warn({ reason: describeError(error) }, CANNOT_WRITE);
    }
  }

  /** To be called when the paths are removed. Does not throw. */
  async close(): Promise<void> {
    if (this.#file !== undefined) await rm(this.#file, { force: true }).catch(() => undefined);
  }
}

const CANNOT_WRITE =
  'The record of files on disk cannot be written; after a kill they would stay there';
const SWEEP_MS = 10_000;

/** Version of the format of a page. A worker reads pages up to its own version. */
const VERSION = 1;
const HeaderSchema = z.object({ version: z.int().positive() });

const LineSchema = z.object({
  /** A folder, and a path below it. */
  root: z.string(),
  path: z.string(),
  /** The path exists only because of the job. Another one, overwritten by the job, is in use and not removed. */
  isOwn: z.boolean(),
});
type LedgerLine = z.infer<typeof LineSchema>;

const keyOf = ({ root, path }: LedgerLine) => join(root, path);

/**
 * The last line may be half of one, when the worker was killed while it wrote. Undefined when a newer worker wrote the
 * page: it is left to newer workers.
 */
async function readPage(page: string, log: Logger): Promise<LedgerLine[] | undefined> {
  const text = await readFile(page, 'utf8').catch(() => '');
  const [header, ...lines] = text.split('\n').map(maybeJson);
  const { version = 0 } = HeaderSchema.safeParse(header).data ?? {};
  if (version > VERSION) {
    const text = 'A newer worker wrote this record of files; they are left where they are';
    log.warn({ page, version, readsUpTo: VERSION }, text);
    return undefined;
  }
  return lines.flatMap((line) => LineSchema.safeParse(line).data ?? []);
}

function maybeJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

async function namesIn(folder: string): Promise<string[]> {
  return await readdir(folder).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return [];
    throw error;
  });
}

const HOST = encodeURIComponent(hostname());

async function ownId(): Promise<string> {
  const startedAt = (await statOf(process.pid))?.startedAt ?? '';
  return [HOST, process.pid, startedAt, randomUUID()].join('~');
}

/** Whether a worker of this host has ended. One of another host, which shares the disk, counts as living. */
async function isKilled(id: string): Promise<boolean> {
  const [host, pid = '', startedAt] = id.split('~');
  if (host !== HOST || !/^[1-9]\d*$/.test(pid)) return false;
  const stat = await statOf(pid);
  if (stat) return stat.startedAt !== startedAt || isZombie(stat);
  return !processExists(Number(pid));
}
