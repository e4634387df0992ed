/** What a job does with ComfyUI's input folder. */
export interface InputUse {
  /** Files the job puts there, by name, with a digest of their bytes. */
  readonly writes: ReadonlyMap<string, string>;
  /** Every text in the job's workflow: a name the prompt may read is among them, or within one of them. */
  readonly texts: readonly string[];
}

/** Held from before the upload until the prompt has ended. */
export interface InputLease {
  release(): void;
}

/**
 * Keeps a job from overwriting a file that another job's prompt may still read.
 *
 * Clients choose the names and reuse them (`input.png`), and a job may be staged while the one before it still runs. A job
 * that would write a name another one writes with other bytes, or reads, waits until that one's prompt has ended; first
 * come, first served. Jobs with different names, or the same bytes, do not wait for each other.
 */
export class InputLeases {
  readonly #held = new Set<InputUse>();
  #waiting: Waiter[] = [];

  /** Rejects with the signal's reason when that comes first. */
  acquire(use: InputUse, signal: AbortSignal): Promise<InputLease> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiter);
        reject(signal.reason);
        this.#admit();
      };
      const waiter: Waiter = {
        use,
        admit: () => {
          signal.removeEventListener('abort', onAbort);
          this.#held.add(use);
          resolve({ release: () => this.#release(use) });
        },
      };
      signal.addEventListener('abort', onAbort);
      this.#waiting.push(waiter);
      this.#admit();
    });
  }

  #release(use: InputUse): void {
    if (this.#held.delete(use)) this.#admit();
  }

  /** Lets in everybody who conflicts with nobody inside and nobody ahead in the queue. */
  #admit(): void {
    const still: Waiter[] = [];
    for (const waiter of this.#waiting) {
      const before = [...this.#held, ...still.map((other) => other.use)];
      if (before.some((other) => conflict(waiter.use, other))) still.push(waiter);
      else waiter.admit();
    }
    this.#waiting = still;
  }
}

interface Waiter {
  readonly use: InputUse;
  readonly admit: () => void;
}

function conflict(a: InputUse, b: InputUse): boolean {
  return overwrites(a, b) || overwrites(b, a);
}

/** Whether what `a` writes may be something `b` reads with other bytes. */
function overwrites(a: InputUse, b: InputUse): boolean {
  return [...a.writes].some(([name, digest]) => {
    const theirs = b.writes.get(name);
    return theirs === undefined ? b.texts.some((text) => text.includes(name)) : theirs !== digest;
  });
}
