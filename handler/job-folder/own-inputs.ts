import { randomUUID } from 'node:crypto';
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../lib/errors.ts';
import type { InputLeases } from '../inputs/input-leases.ts';
import { isWithin, removeWithin } from './remove-within.ts';

/**
 * The files in ComfyUI's input folder that are there only because this worker put them there. A file that was there
 * before, in the image or by hand, is not among them, also when a job has sent another of its name.
 */
export class OwnInputs {
  readonly #leases: InputLeases;
  /** By name within the input folder, that folder. */
  readonly #roots = new Map<string, string>();
  readonly #unneeded = new Set<string>();

  constructor(leases: InputLeases) {
    this.#leases = leases;
  }

  /** To be told of names that are about to be stored, while their lease is held. */
  async claim(root: string, names: Iterable<string>): Promise<void> {
    for (const name of names) {
      if (isWithin(root, name) && (await isNew(join(root, name)))) this.#roots.set(name, root);
    }
  }

  /**
   * Removes those of `names` that are ours. A file that another job sends or reads stays until a later call; one that
   * cannot be removed is told and given up.
   */
  async release(
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

/** A name of which that cannot be said is not one to remove. */
async function isNew(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return false;
  } catch (error) {
    return errnoOf(error) === 'ENOENT';
  }
}
