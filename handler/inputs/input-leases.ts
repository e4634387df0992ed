/** What a job does with ComfyUI's input folder. */
export interface InputUse {
  /** Files the job puts there, by name, with a digest of their bytes. */
  readonly writes: ReadonlyMap<string, string>;
  /** Every text in the job's workflow: a name the prompt may read is among them, or within one of them. */
  readonly texts: readonly string[];
}

/** Held from before the upload until the prompt has ended. */
export interface InputLease {
  /** Files that must not be written again: a job that still holds them has put the same bytes there. */
  readonly present: ReadonlySet<string>;
  /** To be called when all files are there. Jobs that bring the same bytes wait for it. */
  stored(): void;
  release(): void;
}

/**
 * Keeps a job from overwriting a file that another job's prompt may still read.
 *
 * Clients choose the names and reuse them (`input.png`), and a job may be staged while the one before it still runs. A job
 * that would write a name another one writes with other bytes, or reads, waits until that one's prompt has ended; first
 * come, first served. Jobs with different names do not wait for each other. The same bytes under the same name are written
 * by the first job only: ComfyUI empties a file before it writes it anew, and a prompt that reads it just then fails.
 */
export class InputLeases {
  readonly #held = new Set<Claim>();
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
        isStored: false,
        admit: () => {
          signal.removeEventListener('abort', onAbort);
          resolve(this.#hold(use));
        },
      };
      signal.addEventListener('abort', onAbort);
      this.#waiting.push(waiter);
      this.#admit();
    });
  }

  /** The same, now or not at all: undefined when somebody has to be waited for. */
  tryAcquire(use: InputUse): InputLease | undefined {
    const before = [...this.#held, ...this.#waiting];
    return before.some((other) => conflict(use, other)) ? undefined : this.#hold(use);
  }

  #hold(use: InputUse): InputLease {
    const present = new Set([...this.#held].flatMap((other) => sharedNames(use, other.use)));
    const claim = { use, isStored: false };
    this.#held.add(claim);
    return {
      present,
      stored: () => {
        claim.isStored = true;
        this.#admit();
      },
      release: () => this.#release(claim),
    };
  }

  #release(claim: Claim): void {
    if (this.#held.delete(claim)) this.#admit();
  }

  /** Lets in everybody who conflicts with nobody inside and nobody ahead in the queue. */
  #admit(): void {
    const still: Waiter[] = [];
    for (const waiter of this.#waiting) {
      const before = [...this.#held, ...still];
      if (before.some((other) => conflict(waiter.use, other))) still.push(waiter);
      else waiter.admit();
    }
    this.#waiting = still;
  }
}

interface Claim {
  readonly use: InputUse;
  /** Its files are all there. */
  isStored: boolean;
}

interface Waiter extends Claim {
  readonly admit: () => void;
}

/** Whether `use` has to wait for `other`. */
function conflict(use: InputUse, other: Claim): boolean {
  if (overwrites(use, other.use) || overwrites(other.use, use)) return true;
  return !other.isStored && sharedNames(use, other.use).length > 0;
}

/** Whether what `a` writes may be something `b` reads with other bytes. */
function overwrites(a: InputUse, b: InputUse): boolean {
  return [...a.writes].some(([name, digest]) => {
    const theirs = b.writes.get(name);
    return theirs === undefined ? b.texts.some((text) => text.includes(name)) : theirs !== digest;
  });
}

function sharedNames(a: InputUse, b: InputUse): string[] {
  return [...a.writes.keys()].filter((name) => b.writes.has(name));
}
