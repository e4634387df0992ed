import { randomUUID } from 'node:crypto';
import { lstat, realpath, rm } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { errnoOf } from '../../lib/errors.ts';
import type { InputLeases } from '../inputs/input-leases.ts';

/* Safe removal of files from ComfyUI's disk. */

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
  async noteNew(root: string, names: Iterable<string>): Promise<void> {
    for (const name of names) {
      if (!isWithin(root, name)) continue;
      // If a name cannot be looked up, it is not noted, so the file is never removed.
      const isNew = await lstat(join(root, name)).then(
        () => false,
        (error: unknown) => errnoOf(error) === 'ENOENT',
      );
      if (isNew) this.#roots.set(name, root);
    }
  }

  has(name: string): boolean {
    return this.#roots.has(name);
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
    const unique = `removed ${randomUUID()}`;
    const writes = new Map([[name, () => unique]]);
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

/** Where RunPod mounts network volumes: in serverless workers, and in pods. */
const NETWORK_VOLUMES = ['/runpod-volume', '/workspace'];

/**
 * Whether a folder is on a network volume, directly or through a link. Other workers and people keep files there. If the
 * path cannot be resolved, treat it as a network volume.
 */
export async function isOnNetworkVolume(
  folder: string,
  volumes = NETWORK_VOLUMES,
): Promise<boolean> {
  const path = await realpath(folder).catch(() => undefined);
  if (path === undefined) return true;
  return volumes.some((volume) => path === volume || path.startsWith(volume + sep));
}

/**
 * Removes a file, or a folder with its content, below `root`. Does nothing when it does not exist. Links are removed and
 * never followed.
 * @throws Error when `path` leads out of `root`, directly or through a link, or cannot be removed.
 */
export async function removeWithin(root: string, path: string): Promise<void> {
  const target = resolve(root, path);
  const leadsOut = () =>
    new Error(`${JSON.stringify(path)} leads out of ${root}; it is left as it is`);
  if (!isWithin(root, path)) throw leadsOut();
  const folder = await realpath(dirname(target)).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (folder === undefined) return;
  if (folder !== join(await realpath(root), relative(root, dirname(target)))) throw leadsOut();
  // A cancelled prompt may still be writing: files that appear meanwhile are removed by the next try.
  await rm(target, { recursive: true, force: true, maxRetries: 3 });
}

/** Whether `path` is below `root`, judged by names only: links are not resolved. */
function isWithin(root: string, path: string): boolean {
  return resolve(root, path).startsWith(resolve(root) + sep);
}
