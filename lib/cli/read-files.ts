import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { text } from 'node:stream/consumers';
import { describeError, errnoOf, WorkerError } from '../errors.ts';
import type { SentImage } from './job-text.ts';

/** The text of a file; `-` is standard input. @throws WorkerError `usage.invalid`. */
export async function readText(file: string): Promise<string> {
  return file === '-' ? text(process.stdin) : (await read(file)).toString();
}

/** `name=path`, or a path alone: then the file's own name is the name. @throws WorkerError `usage.invalid`. */
export async function readImage(option: string): Promise<SentImage> {
  const equals = option.indexOf('=');
  const path = option.slice(equals + 1);
  const name = equals < 0 ? basename(path) : option.slice(0, equals);
  if (name === '' || path === '') {
    throw new WorkerError(
      'usage.invalid',
      `Expected --image name=path, got ${JSON.stringify(option)}`,
    );
  }
  return { name, image: (await read(path)).toString('base64') };
}

async function read(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    const why = errnoOf(error) === 'ENOENT' ? 'there is no such file' : describeError(error);
    throw new WorkerError('usage.invalid', `${path} cannot be read: ${why}`, { cause: error });
  }
}
