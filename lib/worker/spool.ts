import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { describeError, errnoOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import { readPost, type PostBody } from '../queues/post-body.ts';

/** A result that could not be posted yet. */
export interface SpooledResult {
  readonly jobId: string;
  readonly isStream: boolean;
  readonly body: PostBody;
}

/**
 * Undelivered results as files, one per job: a line of JSON about the result, then the body exactly as it is posted. A file is
 * written beside its place and then moved there, so that a killed worker leaves no half of one. Nothing here fails a job:
 * a disk that cannot be written or read is a warning.
 */
export class Spool {
  readonly #dir: string;
  readonly #log: Logger;
  readonly #clock: Clock;

  constructor({ dir, log, clock }: { dir: string; log: Logger; clock: Clock }) {
    this.#dir = dir;
    this.#log = log;
    this.#clock = clock;
  }

  /** Writes the result to disk, in place of an earlier one of the same job. False when that was not possible. */
  async keep({ jobId, isStream, body }: SpooledResult): Promise<boolean> {
    const file = this.#fileOf(jobId);
    const header = { jobId, isStream, bytes: body.bytes };
    try {
      await mkdir(this.#dir, { recursive: true, mode: 0o700 });
      await writeFile(`${file}.part`, [`${JSON.stringify(header)}\n`, ...body.chunks], {
        mode: 0o600,
      });
      await rename(`${file}.part`, file);
      return true;
    } catch (error) {
      this.#warn(error, 'An undelivered result could not be written to disk', file);
      return false;
    }
  }

  async remove(jobId: string): Promise<void> {
    await this.#delete(this.#fileOf(jobId));
  }

  /** What an earlier worker has left, one by one, each read when it is asked for. What is old or broken is removed. */
  async *left(): AsyncGenerator<SpooledResult> {
    for (const name of await this.#names()) {
      const result = await this.#read(join(this.#dir, name));
      if (result) yield result;
    }
  }

  async #names(): Promise<string[]> {
    try {
      const names = await readdir(this.#dir);
      return names.filter((name) => name.endsWith(ENDING) || name.endsWith(PART_ENDING));
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT')
        this.#warn(error, 'The folder of undelivered results could not be read');
      return [];
    }
  }

  async #read(file: string): Promise<SpooledResult | undefined> {
    try {
      const { mtimeMs } = await stat(file);
      if (this.#clock.now() - mtimeMs > MAX_AGE_MS) {
        this.#log.warn({ file }, 'An undelivered result is older than a day and is dropped');
        await this.#delete(file);
        return undefined;
      }
      return file.endsWith(ENDING) ? parseSpooled(await readFile(file)) : undefined;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      this.#warn(error, 'An undelivered result on disk cannot be read and is dropped', file);
      await this.#delete(file);
      return undefined;
    }
  }

  async #delete(file: string): Promise<void> {
    try {
      await rm(file, { force: true });
    } catch (error) {
      this.#warn(error, 'A delivered result could not be removed from disk', file);
    }
  }

  #warn(error: unknown, text: string, file = this.#dir): void {
    this.#log.warn({ file, reason: describeError(error) }, text);
  }

  /** Ids may hold any character and be of any length; names of files may not. */
  #fileOf(jobId: string): string {
    return join(this.#dir, createHash('sha256').update(jobId).digest('hex') + ENDING);
  }
}

const ENDING = '.result';
const PART_ENDING = `${ENDING}.part`;
/** After a day no platform still waits for the job. */
const MAX_AGE_MS = 24 * 60 * 60 * 1000;

const HeaderSchema = z.object({
  jobId: z.string(),
  isStream: z.boolean(),
  bytes: z.int(),
});

function parseSpooled(content: Buffer): SpooledResult {
  const end = content.indexOf('\n');
  const header = HeaderSchema.parse(JSON.parse(content.toString('utf8', 0, end)));
  const body = content.subarray(end + 1);
  if (body.length !== header.bytes) {
    throw new SyntaxError(`Expected a body of ${header.bytes} bytes, got ${body.length}`);
  }
  const { jobId, isStream } = header;
  return { jobId, isStream, body: readPost(body) };
}
