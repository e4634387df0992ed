import { realpath, rm } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { errnoOf } from '../../lib/errors.ts';

/**
 * Removes a file, or a folder with all that is in it, below `root`; one that is not there is fine. Links are removed and
 * never followed.
 * @throws Error when `path` leads out of `root`, itself or by a link on the way, or cannot be removed.
 */
export async function removeWithin(root: string, path: string): Promise<void> {
  const target = resolve(root, path);
  if (!isWithin(root, path)) throw leadsOut(path, root);
  const folder = await maybeRealPath(dirname(target));
  if (folder === undefined) return;
  const expected = join(await realpath(root), relative(root, dirname(target)));
  if (folder !== expected) throw leadsOut(path, root);
  // A prompt that was given up may still be writing: what appears while the folder is emptied is removed in the next try.
  await rm(target, { recursive: true, force: true, maxRetries: 3 });
}

/** Whether `path` is something below `root`, as far as names tell. */
export function isWithin(root: string, path: string): boolean {
  return resolve(root, path).startsWith(resolve(root) + sep);
}

async function maybeRealPath(path: string): Promise<string | undefined> {
  try {
    return await realpath(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

const leadsOut = (path: string, root: string) =>
  new Error(`${JSON.stringify(path)} leads out of ${root}; it is left as it is`);
