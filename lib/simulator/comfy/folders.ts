import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve, sep } from 'node:path';
import type { Folders } from './nodes/node.ts';

export interface OpenedFolders {
  readonly folders: Folders;
  /** Deletes the folders if they are temporary. */
  remove(): Promise<void>;
}

/** Whether `path` is the folder itself or inside it. */
export function isInside(folder: string, path: string): boolean {
  const root = resolve(folder);
  const inner = resolve(path);
  return inner === root || inner.startsWith(root + sep);
}

/**
 * Splits `name [output]`, `name [input]` or `name [temp]`. Like ComfyUI (`annotated_filepath`), it drops one character
 * before the bracket, whatever it is.
 */
export function splitAnnotation(name: string): { name: string; type?: keyof Folders } {
  for (const type of ['output', 'input', 'temp'] as const) {
    if (name.endsWith(`[${type}]`)) return { name: name.slice(0, -type.length - 3), type };
  }
  return { name };
}

/** Creates the server's folders in `parent`, or in a new temporary folder. */
export async function openFolders(parent: string | undefined): Promise<OpenedFolders> {
  const root = parent ?? (await mkdtemp(join(tmpdir(), 'simulated-comfyui-')));
  const folders = {
    input: join(root, 'input'),
    output: join(root, 'output'),
    temp: join(root, 'temp'),
  };
  for (const folder of Object.values(folders)) await mkdir(folder, { recursive: true });
  const remove = async () => {
    if (parent === undefined) await rm(root, { recursive: true, force: true });
  };
  return { folders, remove };
}

/** A ComfyUI process empties its temp folder at start. */
export async function wipeTemp({ temp }: Folders): Promise<void> {
  await rm(temp, { recursive: true, force: true });
  await mkdir(temp, { recursive: true });
}
