/** Files a node may be given: names as a workflow writes them, and what there is. */

import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import mime from 'mime';
import type { Folders, NodeHost } from '../node.ts';

/** Names of the files directly in the input folder, sorted. */
export async function listInputFiles({ folders }: NodeHost): Promise<string[]> {
  const entries = await readdir(folders.input, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)
    .sort();
}

export async function listInputImages(host: NodeHost): Promise<string[]> {
  const names = await listInputFiles(host);
  return names.filter((name) => mime.getType(name)?.startsWith('image/'));
}

/**
 * The path of `name` or `subfolder/name`, in the input folder unless it ends in ` [output]`, ` [temp]` or ` [input]`.
 * Undefined when that leads out of the folder: ComfyUI 0.8.0 would read such a file, later versions do not.
 */
function locateInputFile(name: string, folders: Folders): string | undefined {
  const [, plain = name, type = 'input'] = /^(.*) \[(input|output|temp)\]$/s.exec(name) ?? [];
  const folder = resolve(folders[type as keyof Folders]);
  const path = resolve(folder, plain);
  return path.startsWith(folder + sep) ? path : undefined;
}

/** The path of a file that is known to exist; see {@link checkInputFile}. */
export function inputFile(name: string, folders: Folders): string {
  const path = locateInputFile(name, folders);
  if (path === undefined) throw new Error(`Invalid image file: ${name}`);
  return path;
}

/** ComfyUI's complaint about a file that is not there. */
export async function checkInputFile(
  inputs: Readonly<Record<string, unknown>>,
  { folders }: NodeHost,
): Promise<Record<string, string>> {
  const { image: name } = inputs;
  if (typeof name !== 'string') return {}; // a link: known only when the node runs
  const path = locateInputFile(name, folders);
  const found = path !== undefined && (await isThere(path));
  return found ? {} : { image: `Invalid image file: ${name}` };
}

async function isThere(path: string): Promise<boolean> {
  const entry = await stat(path).catch(() => undefined);
  return entry !== undefined;
}

/** Changes when the file does. One that is gone only changes the text: reading it is where that becomes an error. */
export async function hashInputFile(
  inputs: Readonly<Record<string, unknown>>,
  { folders }: NodeHost,
): Promise<string> {
  const path = locateInputFile(String(inputs.image), folders);
  const bytes = path === undefined ? undefined : await readFile(path).catch(() => undefined);
  return bytes ? createHash('sha256').update(bytes).digest('hex') : 'not readable';
}
