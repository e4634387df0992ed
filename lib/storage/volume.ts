import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { describeError, WorkerError } from '../errors.ts';
import { safeName } from './key.ts';
import {
  toDestination,
  type Storage,
  type Store,
  type StoreContext,
  type StoredFile,
  type StoreSettings,
} from './storage.ts';

const NoSettings = z.undefined();

export const volumeStore = {
  name: 'volume',
  schema: NoSettings,
  hint: 'no volume (OUTPUT_VOLUME_DIR)',
  whyMissing: ({ volumeFolder }: StoreSettings) =>
    `there is no volume: neither ${volumeFolder} (OUTPUT_VOLUME_DIR) nor the folder it is to be in is there`,
  async open(_settings: undefined, context: StoreContext) {
    const { volumeFolder } = context;
    if (!(await hasVolume(volumeFolder))) return undefined;
    const described = { name: 'the volume', itemType: 'volume_path' } as const;
    return toDestination(new Volume(volumeFolder), described, context);
  },
} as const satisfies Store<typeof NoSettings>;

/**
 * Whether there is a volume: `folder` or the folder it would be created in exists. Anything else would be on the
 * container's own disk, and the files would be lost with the container.
 */
export async function hasVolume(folder: string): Promise<boolean> {
  const isFolder = async (path: string) => {
    const found = await stat(path).catch(() => undefined);
    return found?.isDirectory() === true;
  };
  return (await isFolder(folder)) || (await isFolder(dirname(folder)));
}

/** A folder on a network volume, with a folder in it for every job. */
export class Volume implements Storage {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * The file appears under its name only when it is complete. A job that runs again replaces its files.
   * @returns the path of the file.
   */
  async put(file: StoredFile, signal: AbortSignal): Promise<string> {
    const folder = join(this.#folder, safeName(file.jobId));
    const path = join(folder, file.uniqueName);
    const partial = `${path}.part`;
    try {
      await mkdir(folder, { recursive: true });
      const source = Readable.fromWeb(file.content.stream());
      // Without a flush, a full volume would be noticed only after the job has ended.
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
    // Holds nothing open between files.
  }
}
