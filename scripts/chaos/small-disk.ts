import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

/** A disk of a few megabytes in memory, which can be filled up. Linux, and only root may mount it. */
export class SmallDisk implements AsyncDisposable {
  readonly folder: string;
  readonly #keeper: ChildProcess;

  private constructor(folder: string, keeper: ChildProcess) {
    this.folder = folder;
    this.#keeper = keeper;
  }

  /** Only the reason where it cannot be mounted. */
  static async mount(folder: string): Promise<SmallDisk | { readonly reason: string }> {
    await mkdir(folder, { recursive: true });
    const keeper = spawn('sh', ['-c', KEEPER, 'sh', folder], { detached: true });
    const said = await Promise.race([
      once(keeper.stdout, 'data').then(() => undefined),
      text(keeper.stderr),
    ]);
    return said === undefined ? new SmallDisk(folder, keeper) : { reason: said.trim() };
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
    const ended = once(this.#keeper, 'exit');
    this.#keeper.stdin?.end();
    await ended;
  }

  get #filler(): string {
    return join(this.folder, 'filler');
  }
}

const MEGABYTES = 8;
/** Mounts, and unmounts when its input ends, which happens however the chaos run ends, and however early. */
const KEEPER = `
trap '' PIPE
mount -t tmpfs -o size=${MEGABYTES}m,mode=0777 tmpfs "$1" || exit
echo mounted
cat
umount -l "$1"`;
