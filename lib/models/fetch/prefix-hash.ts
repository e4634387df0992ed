import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { HashMessage } from './hash-thread.ts';

/**
 * The SHA-256 of a file whose parts arrive in any order. A thread follows the part without gaps at the beginning of the
 * file, so that little is left to do when the last part is there.
 */
export class PrefixHash implements AsyncDisposable {
  readonly #thread: Worker;
  readonly #failed: Promise<never>;
  #announced = 0;

  constructor(path: string) {
    this.#thread = new Worker(THREAD_FILE, { workerData: { path }, name: 'model hash' });
    this.#failed = once(this.#thread, 'error').then(([error]) => {
      throw error;
    });
    this.#failed.catch(() => undefined);
    this.#thread.unref();
  }

  /** Tells that the first `until` bytes are on the disk. */
  advance(until: number): void {
    if (until < this.#announced + STEP_BYTES) return;
    this.#announced = until;
    this.#thread.postMessage({ until, isAll: false } satisfies HashMessage);
  }

  /** The SHA-256 in hex of a file of `total` bytes, which are all on the disk. To be called once. */
  async digest(total: number): Promise<string> {
    this.#thread.ref();
    const answer = once(this.#thread, 'message');
    this.#thread.postMessage({ until: total, isAll: true } satisfies HashMessage);
    const [digest] = (await Promise.race([answer, this.#failed])) as [string];
    return digest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread.terminate();
  }
}

/** Fewer messages than writes. */
const STEP_BYTES = 8 * 1024 * 1024;

/** The SHA-256 in hex of a complete file. The main thread stays free. */
export async function sha256OfFile(path: string, bytes: number): Promise<string> {
  await using hash = new PrefixHash(path);
  return await hash.digest(bytes);
}

/** TypeScript in development, JavaScript when built. */
const THREAD_FILE = new URL(
  import.meta.url.endsWith('.ts') ? './hash-thread.ts' : './hash-thread.js',
  import.meta.url,
);
