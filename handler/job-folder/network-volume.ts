import { realpath } from 'node:fs/promises';
import { sep } from 'node:path';

/** Where RunPod mounts network volumes: in serverless workers, and in pods. */
const VOLUMES = ['/runpod-volume', '/workspace'];

/**
 * Whether a folder lies on a network volume, itself or by a link. Other workers put files there, and people look for them.
 * One of which that cannot be said counts as one that does.
 */
export async function isOnVolume(folder: string, volumes = VOLUMES): Promise<boolean> {
  const path = await realpath(folder).catch(() => undefined);
  if (path === undefined) return true;
  return volumes.some((volume) => path === volume || path.startsWith(volume + sep));
}
