/** How a job uses ComfyUI's input folder. */
export interface InputUse {
  /** Files the job writes: their paths, with the digest of their bytes, which is asked for only when another job has the path. */
  readonly writes: ReadonlyMap<string, () => string>;
  /** Every text in the job's workflow. Any of them may contain the name of a file that the prompt reads. */
  readonly texts: readonly string[];
}

/** Held from before the upload until the prompt has ended. */
export interface InputLease {
  /**
   * Files that need no upload, because another job that still holds its lease has stored the same bytes. Each with the
   * path that ComfyUI gave it.
   */
  readonly present: ReadonlyMap<string, string>;
  /**
   * To be called when all files are stored. Jobs that bring the same bytes wait for it. `storedPaths` are those that
   * ComfyUI gave the files; a file that is missing there has the path that was asked for.
   */
  markStored(storedPaths?: ReadonlyMap<string, string>): void;
  release(): void;
}

/**
 * Keeps a job from overwriting an input file that another job's prompt may still read.
 *
 * Clients choose file names and reuse them (`input.png`), and a job may be staged while the one before it still runs.
 * - A job that would write a file which another job reads, or writes with other bytes, waits until that job releases its
 *   lease. Leases are given in the order they were asked for. Jobs with different names do not wait for each other.
 * - The same bytes under the same name are stored by the first job only: ComfyUI empties a file before it writes it
 *   again, and a prompt that reads the file at that moment fails.
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
        this.#admitWaiting();
      };
      const waiter: Waiter = {
        use,
        isStored: false,
        storedPaths: new Map(),
        admit: () => {
          signal.removeEventListener('abort', onAbort);
          resolve(this.#hold(use));
        },
      };
      signal.addEventListener('abort', onAbort);
      this.#waiting.push(waiter);
      this.#admitWaiting();
    });
  }

  /** A lease if it is free now, else undefined. */
  tryAcquire(use: InputUse): InputLease | undefined {
    const before = [...this.#held, ...this.#waiting];
    return before.some((other) => mustWaitFor(other, use)) ? undefined : this.#hold(use);
  }

  #hold(use: InputUse): InputLease {
    const present = new Map(
      [...this.#held].flatMap(({ use: other, storedPaths }) =>
        sharedNames(use, other).map((name) => [name, storedPaths.get(name) ?? name] as const),
      ),
    );
    const claim: Claim = { use, isStored: false, storedPaths: new Map() };
    this.#held.add(claim);
    return {
      present,
      markStored: (storedPaths = new Map()) => {
        claim.isStored = true;
        claim.storedPaths = storedPaths;
        this.#admitWaiting();
      },
      release: () => {
        if (this.#held.delete(claim)) this.#admitWaiting();
      },
    };
  }

  /** Admits every job that conflicts neither with a lease nor with a job that waits before it. */
  #admitWaiting(): void {
    const stillWaiting: Waiter[] = [];
    for (const waiter of this.#waiting) {
      const before = [...this.#held, ...stillWaiting];
      if (before.some((other) => mustWaitFor(other, waiter.use))) stillWaiting.push(waiter);
      else waiter.admit();
    }
    this.#waiting = stillWaiting;
  }
}

interface Claim {
  readonly use: InputUse;
  /** All its files are stored. */
  isStored: boolean;
  storedPaths: ReadonlyMap<string, string>;
}

interface Waiter extends Claim {
  readonly admit: () => void;
}

function mustWaitFor(other: Claim, use: InputUse): boolean {
  if (mayOverwrite(use, other.use) || mayOverwrite(other.use, use)) return true;
  return !other.isStored && sharedNames(use, other.use).length > 0;
}

/** Whether `writer` may write a file that `reader` reads, or writes with other bytes. */
function mayOverwrite(writer: InputUse, reader: InputUse): boolean {
  return [...writer.writes].some(([name, digest]) => {
    const other = reader.writes.get(name);
    return other === undefined
      ? reader.texts.some((text) => text.includes(name))
      : other() !== digest();
  });
}

function sharedNames(a: InputUse, b: InputUse): string[] {
  return [...a.writes.keys()].filter((name) => b.writes.has(name));
}
