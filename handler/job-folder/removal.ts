import { realpath, rm } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { errnoOf } from '../../lib/errors.ts';

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
export function isWithin(root: string, path: string): boolean {
  return resolve(root, path).startsWith(resolve(root) + sep);
}
