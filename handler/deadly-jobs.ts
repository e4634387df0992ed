import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { systemClock } from '../lib/clock.ts';
import type { Config } from '../lib/config.ts';
import { describeError, errnoOf, WorkerError } from '../lib/errors.ts';
import type { JsonText } from '../lib/json.ts';
import type { Logger } from '../lib/log.ts';

const DeadlyJobSchema = z.object({
  /** SHA-256 of the job's input. */
  hash: z.string(),
  jobId: z.string(),
  /** Milliseconds since the epoch. */
  killedAt: z.number(),
});

const FileSchema = z.object({ version: z.literal(1), jobs: z.array(DeadlyJobSchema) });

type DeadlyJob = z.infer<typeof DeadlyJobSchema>;

/**
 * The jobs that killed ComfyUI with each of their attempts, in a file on the worker's disk. When one is delivered again, to
 * this worker or to the next one on this disk, it is refused. The hash covers the whole input, not only the graph: the
 * same graph with another image may be harmless.
 *
 * The file is read for each job, because `doctor` may have cleared it. A file that cannot be read or written is a warning.
 */
export class DeadlyJobs {
  readonly #file: string;
  readonly #folder: string;
  readonly #ttlMs: number;
  readonly #log: Logger | undefined;

  /** `log` may be left out by callers who only look. */
  constructor(
    { RESULT_SPOOL_DIR: folder, DEADLY_JOB_TTL_S: ttlS }: Config,
    { log }: { readonly log?: Logger } = {},
  ) {
    this.#folder = folder;
    this.#file = join(folder, 'deadly-jobs.json');
    this.#ttlMs = ttlS * 1000;
    this.#log = log;
  }

  /** @throws WorkerError `job.deadly` when this input has killed ComfyUI before. */
  async refuse(input: JsonText): Promise<void> {
    const jobs = await this.list();
    const hash = jobs.length > 0 ? hashOf(input) : '';
    const found = jobs.find((one) => one.hash === hash);
    if (!found) return;
    throw new WorkerError(
      'job.deadly',
      `This job killed ComfyUI with each of its attempts, last at ${isoTime(found.killedAt)}. ` +
        `It is refused until ${isoTime(found.killedAt + this.#ttlMs)}; \`comfyui-worker doctor --forget-deadly-jobs\` lifts that.`,
    );
  }

  async remember(input: JsonText, jobId: string): Promise<void> {
    if (this.#ttlMs === 0) return;
    const job = { hash: hashOf(input), jobId, killedAt: systemClock.wallTime() };
    const others = (await this.list()).filter(({ hash }) => hash !== job.hash);
    const jobs = [...others, job].slice(-MAX_JOBS);
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      const text = JSON.stringify({ version: 1, jobs } satisfies z.infer<typeof FileSchema>);
      await writeFile(`${this.#file}.part`, text, { mode: 0o600 });
      await rename(`${this.#file}.part`, this.#file);
      this.#log?.warn(
        { hash: job.hash },
        'The job killed ComfyUI with each attempt; it is refused from now on',
      );
    } catch (error) {
      this.#warn(error, 'A job that kills ComfyUI could not be noted');
    }
  }

  /** Jobs that are refused now, oldest first. */
  async list(): Promise<readonly DeadlyJob[]> {
    try {
      const { jobs } = FileSchema.parse(JSON.parse(await readFile(this.#file, 'utf8')));
      const now = systemClock.wallTime();
      // The absolute value, because the clock may have been set back since.
      return jobs.filter(({ killedAt }) => Math.abs(now - killedAt) < this.#ttlMs);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') this.#warn(error, 'The list of deadly jobs cannot be read');
      return [];
    }
  }

  async clear(): Promise<void> {
    await rm(this.#file, { force: true });
  }

  #warn(error: unknown, text: string): void {
    this.#log?.warn({ file: this.#file, reason: describeError(error) }, text);
  }
}

function hashOf(input: JsonText): string {
  return createHash('sha256').update(input.text).digest('hex');
}

const isoTime = (ms: number) => new Date(ms).toISOString();
const MAX_JOBS = 100;
