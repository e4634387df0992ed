import { describeError, WorkerError } from '../lib/errors.ts';
import { JsonText } from '../lib/json.ts';
import type { Job } from '../lib/queues/queue.ts';
import { parseJob } from '../lib/queues/runpod/wire.ts';

/**
 * Reads the job of `--test_input`. Its id is `local_test` unless it brings its own; its text is kept as it was written.
 * @throws WorkerError `config.invalid` when the job cannot be run.
 */
export function readTestInput(text: string): Job {
  const source = parseJson(text.replace(BYTE_ORDER_MARK, ''));
  if (source.kind !== 'object') {
    throw invalidJob(`expected an object with an "input", got a value of kind ${source.kind}`);
  }
  const input = source.get('input');
  if (!input) {
    const keys = source.entries().map(([name]) => `"${name}"`);
    throw invalidJob(`expected an "input", found ${keys.join(', ') || 'nothing'}`);
  }
  if (input.kind === 'null') throw invalidJob('"input" is null');
  const taken = parseJob(source);
  return taken.kind === 'job' ? taken.job : { jobId: 'local_test', input, source };
}

function parseJson(text: string): JsonText {
  try {
    return JsonText.parse(text);
  } catch (error) {
    throw invalidJob(`it is not JSON: ${describeError(error)}`, error);
  }
}

function invalidJob(why: string, cause?: unknown): WorkerError {
  return new WorkerError('config.invalid', `No job can be read from --test_input: ${why}`, {
    cause,
  });
}

/** Some shells and editors write it at the start of a text; JSON does not allow it. */
const BYTE_ORDER_MARK = /^\uFEFF/;
