import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { describeError, errnoOf, WorkerError } from '../../errors.ts';
import { JsonText } from '../../json.ts';
import type { Job } from '../queue.ts';
import { parseJob } from './wire.ts';

interface TestInputSource {
  /** A job as JSON text, from `--test_input`; preferred to the file. */
  readonly testInput?: string | undefined;
  /** A file with a job, relative to the working directory. */
  readonly file?: string;
}

/**
 * Reads the job to run when no platform is set. Its id is `local_test` unless it brings its own; its text is kept as it
 * was written.
 * @throws WorkerError `config.invalid` when there is no job, or it cannot be run.
 */
export async function readTestInput({
  testInput,
  file = 'test_input.json',
}: TestInputSource): Promise<Job> {
  if (testInput !== undefined) return parseTestInput(testInput, '--test_input');
  return parseTestInput(await readJobFile(resolve(file)), resolve(file));
}

async function readJobFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const why = errnoOf(error) === 'ENOENT' ? NO_JOB : `it cannot be read: ${describeError(error)}`;
    throw invalidJob(path, why, error);
  }
}

const NO_JOB =
  'there is no such file. Set RUNPOD_WEBHOOK_GET_JOB to take jobs from a platform, pass a job with --test_input \'{"input": ...}\', or write that file';

function parseTestInput(text: string, place: string): Job {
  const source = parseJson(text.replace(BYTE_ORDER_MARK, ''), place);
  if (source.kind !== 'object') {
    throw invalidJob(
      place,
      `expected an object with an "input", got a value of kind ${source.kind}`,
    );
  }
  const input = source.get('input');
  if (!input) {
    const keys = source.entries().map(([name]) => `"${name}"`);
    throw invalidJob(place, `expected an "input", found ${keys.join(', ') || 'nothing'}`);
  }
  if (input.kind === 'null') throw invalidJob(place, '"input" is null');
  const taken = parseJob(source);
  return taken.kind === 'job' ? taken.job : { jobId: 'local_test', input, source };
}

function parseJson(text: string, place: string): JsonText {
  try {
    return JsonText.parse(text);
  } catch (error) {
    throw invalidJob(place, `it is not JSON: ${describeError(error)}`, error);
  }
}

function invalidJob(place: string, why: string, cause?: unknown): WorkerError {
  return new WorkerError('config.invalid', `No job can be read from ${place}: ${why}`, { cause });
}

/** Some editors write it at the start of a file; JSON does not allow it. */
const BYTE_ORDER_MARK = /^\uFEFF/;
