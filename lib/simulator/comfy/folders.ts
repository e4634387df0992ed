import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve, sep } from 'node:path';
import type { Folders } from './nodes/node.ts';

export interface Place {
  readonly folders: Folders;
  remove(): Promise<void>;
}

/** Whether `path` is the folder itself or below it. */
export function isInside(folder: string, path: string): boolean {
  const root = resolve(folder);
  const inner = resolve(path);
  return inner === root || inner.startsWith(root + sep);
}

/** The folders of a server, made when missing. Without a place they lie in a temporary one, which `remove` deletes. */
export async function openFolders(place: string | undefined): Promise<Place> {
  const root = place ?? (await mkdtemp(join(tmpdir(), 'simulated-comfyui-')));
  const folders = {
    input: join(root, 'input'),
    output: join(root, 'output'),
    temp: join(root, 'temp'),
  };
  for (const folder of Object.values(folders)) await mkdir(folder, { recursive: true });
  const remove = async () => {
    if (place === undefined) await rm(root, { recursive: true, force: true });
  };
  return { folders, remove };
}

/** What a ComfyUI process does first of all. */
export async function wipeTemp({ temp }: Folders): Promise<void> {
  await rm(temp, { recursive: true, force: true });
  await mkdir(temp, { recursive: true });
}
