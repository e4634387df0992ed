import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { describeError, ERROR_KINDS, errnoOf, type ErrorCode } from '../errors.ts';
import { piecesOf, type JsonBody } from '../json-body.ts';
import { JsonText } from '../json.ts';
import type { Logger } from '../log.ts';
import { toJobError, type EncodedResult } from '../queues/queue.ts';

/** A result that could not be posted yet. */
export interface SpooledResult {
  readonly jobId: string;
  readonly result: EncodedResult;
}

/**
 * Undelivered results as files, one per job: a line of JSON with everything but the output, then the serialized output.
 * A file is written under another name and then renamed, so a killed worker leaves no half of one. Nothing here fails a
 * job: a disk that cannot be written or read is a warning. The files of older workers are read, those of newer ones stay.
 */
export class Spool {
  readonly #dir: string;
  readonly #log: Logger;
  readonly #clock: Clock;
  /** Files that were warned of; they stay, and are met again. */
  readonly #warnedOf = new Set<string>();

  constructor({ dir, log, clock }: { dir: string; log: Logger; clock: Clock }) {
    this.#dir = dir;
    this.#log = log;
    this.#clock = clock;
  }

  /** Writes the result to disk, in place of an earlier one of the same job. False when that was not possible. */
  async keep({ jobId, result }: SpooledResult): Promise<boolean> {
    const file = this.#fileOf(jobId);
    const { output, ...rest } = result;
    const header = { version: VERSION, jobId, outputBytes: output?.bytes, ...rest };
    try {
      await mkdir(this.#dir, { recursive: true, mode: 0o700 });
      await writeFile(`${file}.part`, contentOf(header, output), { mode: 0o600 });
      await rename(`${file}.part`, file);
      return true;
    } catch (error) {
      this.#warn(error, 'An undelivered result could not be written to disk', file);
      await this.#delete(`${file}.part`);
      return false;
    }
  }

  has(jobId: string): boolean {
    return existsSync(this.#fileOf(jobId));
  }

  /** The result of a job, if it is on disk and can be read. Synchronous: a job that was taken runs or is answered at once. */
  find(jobId: string): SpooledResult | undefined {
    const file = this.#fileOf(jobId);
    if (!existsSync(file)) return undefined;
    try {
      return parseSpooled(readFileSync(file));
    } catch (error) {
      this.#warn(
        error,
        'The result of a job is on disk but cannot be read; the job runs again',
        file,
      );
      return undefined;
    }
  }

  async remove(jobId: string): Promise<void> {
    await this.#delete(this.#fileOf(jobId));
  }

  /**
   * The results on disk, except those of jobs that are held; each is read when it is asked for. Very old and broken files
   * are removed.
   */
  async *leftovers(heldJobIds: () => readonly string[]): AsyncGenerator<SpooledResult> {
    let names: string[] = [];
    try {
      names = await readdir(this.#dir);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT')
        this.#warn(error, 'The folder of undelivered results could not be read');
    }
    for (const name of names) {
      if (!name.endsWith(ENDING) && !name.endsWith(`${ENDING}.part`)) continue;
      const file = join(this.#dir, name);
      const isHeld = heldJobIds().some((jobId) => file.startsWith(this.#fileOf(jobId)));
      const result = isHeld ? undefined : await this.#read(file);
      if (result) yield result;
    }
  }

  async #read(file: string): Promise<SpooledResult | undefined> {
    try {
      const { mtimeMs } = await stat(file);
      const isOld = this.#clock.wallTime() - mtimeMs > MAX_AGE_MS;
      if (isOld)
        this.#log.warn({ file }, 'An undelivered result is older than eight days and is dropped');
      if (isOld || !file.endsWith(ENDING)) await this.#delete(file);
      else return parseSpooled(await readFile(file));
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') await this.#giveUp(file, error);
    }
    return undefined;
  }

  /** A broken file is removed. One that a newer worker wrote, or that cannot be read just now, stays. */
  async #giveUp(file: string, error: unknown): Promise<void> {
    const isBroken = error instanceof BrokenFile;
    if (!this.#warnedOf.has(file)) {
      const then = isBroken ? 'it is removed' : 'it stays there';
      this.#warn(error, `An undelivered result on disk cannot be read; ${then}`, file);
    }
    if (isBroken) await this.#delete(file);
    else this.#warnedOf.add(file);
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

  /** File names are hashes: ids may hold any character and be of any length. */
  #fileOf(jobId: string): string {
    return join(this.#dir, createHash('sha256').update(jobId).digest('hex') + ENDING);
  }
}

const ENDING = '.result';
/**
 * RunPod deletes a job seven days after it was sent, at the latest. One day more, because files outlive processes, so their
 * age has to be measured by the machine's clock, which may have been set meanwhile.
 */
const MAX_AGE_MS = 8 * 24 * 60 * 60 * 1000;

const ErrorSchema = z.object({
  code: z.enum(Object.keys(ERROR_KINDS) as [ErrorCode, ...ErrorCode[]]),
  message: z.string(),
  thrown: z.object({ type: z.string(), trace: z.string() }).optional(),
});

function* contentOf(header: object, output: JsonBody | undefined): Generator<string | Buffer> {
  yield `${JSON.stringify(header)}\n`;
  if (output) yield* piecesOf(output);
}

/** Version of the format. Raise it when an older worker would read the files wrong. */
const VERSION = 2;

/** `outputBytes` is absent when there is no output. */
const HeaderSchema = z.object({
  version: z.literal(VERSION),
  jobId: z.string(),
  outputBytes: z.int().optional(),
  error: ErrorSchema.optional(),
  freshWorker: z.boolean().optional(),
});

/** Header of a file from before version 2. After it comes the JSON object that RunPod gets. */
const OldHeaderSchema = z.object({ jobId: z.string(), bytes: z.int() });

/** The content is no result, or not all of one. */
class BrokenFile extends Error {}

/** @throws BrokenFile, or an Error when a newer worker wrote the file. */
function parseSpooled(content: Buffer): SpooledResult {
  const end = content.indexOf('\n');
  const header = headerOf(content.toString('utf8', 0, end));
  const { version } = header;
  if (typeof version === 'number' && version > VERSION)
    throw new Error(`it has format ${version}; this worker reads up to format ${VERSION}`);
  const body = content.subarray(end + 1);
  try {
    return version === undefined
      ? readOldFormat(OldHeaderSchema.parse(header), body)
      : readFormat(HeaderSchema.parse(header), body);
  } catch (cause) {
    throw new BrokenFile(describeError(cause), { cause });
  }
}

function headerOf(line: string): Record<string, unknown> {
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(line));
  } catch (cause) {
    throw new BrokenFile(describeError(cause), { cause });
  }
}

function readFormat(
  { jobId, outputBytes, error, freshWorker }: z.infer<typeof HeaderSchema>,
  body: Buffer,
): SpooledResult {
  checkLength(body, outputBytes ?? 0);
  const thrown = error?.thrown && { thrown: error.thrown };
  const result = {
    ...(outputBytes !== undefined && { output: { bytes: outputBytes, chunks: [body] } }),
    ...(error && { error: { ...toJobError(error.code, error.message), ...thrown } }),
    ...(freshWorker && { freshWorker }),
  };
  return { jobId, result };
}

/** Keeps the text of the output as it is. The error has no code in this format. */
function readOldFormat(
  { jobId, bytes }: z.infer<typeof OldHeaderSchema>,
  body: Buffer,
): SpooledResult {
  checkLength(body, bytes);
  const source = JsonText.parse(body.toString());
  const output = source.get('output');
  const chunk = output && Buffer.from(output.text);
  const error = source.get('error')?.value();
  const result = {
    ...(chunk && { output: { bytes: chunk.length, chunks: [chunk] } }),
    ...(typeof error === 'string' && { error: toJobError('worker.unexpected', error) }),
    ...(source.get('stopPod')?.value() === true && { freshWorker: true }),
  };
  return { jobId, result };
}

function checkLength(body: Buffer, bytes: number): void {
  if (body.length === bytes) return;
  throw new SyntaxError(`Expected ${bytes} bytes after the first line, got ${body.length}`);
}
