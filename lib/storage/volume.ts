import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describeError, WorkerError } from '../errors.ts';
import { safeName } from './key.ts';
import type { Storage, StoredFile } from './storage.ts';

/**
 * Whether there is a volume to put files on. The folder itself is made when it is needed; but what it is to be made in has to
 * be there: on the disk of the container files would be gone with it.
 */
export async function hasVolume(folder: string): Promise<boolean> {
  return (await isFolder(folder)) || (await isFolder(dirname(folder)));
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}

/** A folder on a network volume, with a folder in it for every job. */
export class Volume implements Storage {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Under its name there is all of a file or nothing; a job that is run again replaces what it made before. */
  async put(file: StoredFile, signal: AbortSignal): Promise<string> {
    const folder = join(this.#folder, safeName(file.jobId));
    const path = join(folder, file.uniqueName);
    const partial = `${path}.part`;
    try {
      await mkdir(folder, { recursive: true });
      const source = Readable.fromWeb(file.content.stream());
      // Flushed: a volume tells that it is full only when it has to write.
      await pipeline(source, createWriteStream(partial, { flush: true }), { signal });
      await rename(partial, path);
      return path;
    } catch (error) {
      await rm(partial, { force: true }).catch(() => undefined);
      signal.throwIfAborted();
      throw new WorkerError('storage.upload_failed', `[write] ${path}: ${describeError(error)}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held between files.
  }
}
