import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { describeError, ERROR_KINDS, errnoOf, type ErrorCode } from '../errors.ts';
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
 * job: a disk that cannot be written or read is a warning.
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
  async keep({ jobId, result }: SpooledResult): Promise<boolean> {
    const file = this.#fileOf(jobId);
    const { output, ...rest } = result;
    const header = { version: 2, jobId, outputBytes: output?.bytes, ...rest };
    try {
      await mkdir(this.#dir, { recursive: true, mode: 0o700 });
      const content = [`${JSON.stringify(header)}\n`, ...(output?.chunks ?? [])];
      await writeFile(`${file}.part`, content, { mode: 0o600 });
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

  /** The results that an earlier worker left, each read when it is asked for. Old and broken files are removed. */
  async *leftovers(): AsyncGenerator<SpooledResult> {
    let names: string[] = [];
    try {
      names = await readdir(this.#dir);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT')
        this.#warn(error, 'The folder of undelivered results could not be read');
    }
    for (const name of names) {
      if (!name.endsWith(ENDING) && !name.endsWith(`${ENDING}.part`)) continue;
      const result = await this.#read(join(this.#dir, name));
      if (result) yield result;
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

  /** File names are hashes: ids may hold any character and be of any length. */
  #fileOf(jobId: string): string {
    return join(this.#dir, createHash('sha256').update(jobId).digest('hex') + ENDING);
  }
}

const ENDING = '.result';
/** After a day no platform still waits for the job. */
const MAX_AGE_MS = 24 * 60 * 60 * 1000;

const ErrorSchema = z.object({
  code: z.enum(Object.keys(ERROR_KINDS) as [ErrorCode, ...ErrorCode[]]),
  message: z.string(),
  thrown: z.object({ type: z.string(), trace: z.string() }).optional(),
});

/** `outputBytes` is absent when there is no output. */
const HeaderSchema = z.object({
  version: z.literal(2),
  jobId: z.string(),
  outputBytes: z.int().optional(),
  error: ErrorSchema.optional(),
  freshWorker: z.boolean().optional(),
});

/** Header of a file from before version 2. After it comes the JSON object that RunPod gets. */
const OldHeaderSchema = z.object({ jobId: z.string(), bytes: z.int() });

function parseSpooled(content: Buffer): SpooledResult {
  const end = content.indexOf('\n');
  const header: unknown = JSON.parse(content.toString('utf8', 0, end));
  const body = content.subarray(end + 1);
  const isOld = typeof header === 'object' && header !== null && !('version' in header);
  if (isOld) return readOldFormat(OldHeaderSchema.parse(header), body);

  const { jobId, outputBytes, error, freshWorker } = HeaderSchema.parse(header);
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
