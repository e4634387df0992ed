import { execFile } from 'node:child_process';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A disk of a few megabytes in memory, which can be filled up. Linux, and only root may mount it. */
export class SmallDisk implements AsyncDisposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Undefined, with the reason, where it cannot be mounted. */
  static async mount(folder: string): Promise<SmallDisk | { readonly reason: string }> {
    await mkdir(folder, { recursive: true });
    try {
      await run('mount', ['-t', 'tmpfs', '-o', `size=${MEGABYTES}m,mode=0777`, 'tmpfs', folder]);
      return new SmallDisk(folder);
    } catch (error) {
      return {
        reason:
          error instanceof Object && 'stderr' in error
            ? String(error.stderr).trim()
            : String(error),
      };
    }
  }

  /** Writes until there is no space left. */
  async fill(): Promise<void> {
    const file = await open(this.#filler, 'w');
    try {
      for (let bytes = 64 * 1024; bytes >= 1;) {
        try {
          await file.appendFile(Buffer.alloc(bytes));
        } catch {
          bytes = Math.floor(bytes / 2);
        }
      }
    } finally {
      await file.close();
    }
  }

  async clear(): Promise<void> {
    await rm(this.#filler, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run('umount', ['-l', this.folder]);
  }

  get #filler(): string {
    return join(this.folder, 'filler');
  }
}

const MEGABYTES = 8;
