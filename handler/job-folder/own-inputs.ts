import { randomUUID } from 'node:crypto';
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../lib/errors.ts';
import type { InputLeases } from '../inputs/input-leases.ts';
import { isWithin, removeWithin } from './removal.ts';

/**
 * The files in ComfyUI's input folder that exist only because this worker stored them. A file that was there before, from
 * the image or put there by hand, is not one of them, even when a job has overwritten it.
 */
export class OwnInputs {
  readonly #leases: InputLeases;
  /** The input folder of each file, by the file's path within it. */
  readonly #roots = new Map<string, string>();
  readonly #unneeded = new Set<string>();

  constructor(leases: InputLeases) {
    this.#leases = leases;
  }

  /** To be called with names that are about to be stored, while their lease is held. */
  async claim(root: string, names: Iterable<string>): Promise<void> {
    for (const name of names) {
      if (!isWithin(root, name)) continue;
      // A name that cannot be looked up is not claimed, so it is never removed.
      const isNew = await lstat(join(root, name)).then(
        () => false,
        (error: unknown) => errnoOf(error) === 'ENOENT',
      );
      if (isNew) this.#roots.set(name, root);
    }
  }

  /**
   * Removes those of `names` that this worker stored. A file that another job writes or reads stays until a later call.
   * A file that cannot be removed is reported once and then kept.
   */
  async remove(
    names: Iterable<string>,
    onProblem: (name: string, error: unknown) => void,
  ): Promise<void> {
    for (const name of names) if (this.#roots.has(name)) this.#unneeded.add(name);
    for (const name of [...this.#unneeded]) {
      await this.#tryToRemove(name).catch((error: unknown) => onProblem(name, error));
    }
  }

  async #tryToRemove(name: string): Promise<void> {
    const root = this.#roots.get(name);
    // A digest that no job has, so that the lease conflicts with every other use of the file.
    const writes = new Map([[name, `removed ${randomUUID()}`]]);
    const lease = this.#leases.tryAcquire({ writes, texts: [] });
    if (!lease) return;
    this.#unneeded.delete(name);
    this.#roots.delete(name);
    try {
      if (root !== undefined) await removeWithin(root, name);
    } finally {
      lease.release();
    }
  }
}
