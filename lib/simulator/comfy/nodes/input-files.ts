/** Files that loader nodes read: names in workflows, and the choices of their inputs. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import mime from 'mime';
import { fromPlain, pyTypeName, PythonError } from '../python/python-text.ts';
import { isInside, splitAnnotation } from '../folders.ts';
import type { Folders, InputCheck, NodeDefinition, NodeHost } from './node.ts';

/** Names of the files directly in the input folder, sorted. */
export async function listInputFiles({ folders }: NodeHost): Promise<string[]> {
  const entries = await readdir(folders.input, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)
    .sort();
}

/** Input files of a media kind, by file extension. */
export async function listInputMedia(host: NodeHost, kind: MediaKind): Promise<string[]> {
  const names = await listInputFiles(host);
  return names.filter((name) => mime.getType(name)?.startsWith(`${kind}/`));
}

export type MediaKind = 'image' | 'video' | 'audio';

/**
 * The path of `name` or `subfolder/name` in the input folder, or in the one named by a suffix ` [output]`, ` [temp]` or
 * ` [input]`. Undefined when it leads out of the folder. ComfyUI 0.8.0 would read such a file; later versions do not.
 */
function locateInputFile(name: string, folders: Folders): string | undefined {
  const { name: plain, type = 'input' } = splitAnnotation(name);
  const folder = resolve(folders[type]);
  const path = resolve(folder, plain);
  return isInside(folder, path) ? path : undefined;
}

/** The path of a file that {@link checkInputFile} has accepted. */
export function inputFile(name: string, folders: Folders): string {
  const path = locateInputFile(name, folders);
  if (path === undefined) throw new Error(`Invalid file: ${name}`);
  return path;
}

/**
 * ComfyUI's error for a missing file. `input` is the input's name, `noun` ComfyUI's word for the file. Folders count as
 * files, also the input folder itself (an empty name).
 */
export function checkInputFile(input: string, noun: MediaKind | 'latent' | '3D model'): InputCheck {
  return {
    inputs: [input],
    check: async ({ [input]: name }, { folders }) => {
      if (typeof name !== 'string') {
        const type = pyTypeName(fromPlain(name));
        throw new PythonError('AttributeError', `'${type}' object has no attribute 'endswith'`);
      }
      const path = locateInputFile(name, folders);
      const found = path !== undefined && (await maybeStat(path)) !== undefined;
      return found ? undefined : `Invalid ${noun} file: ${name}`;
    },
  };
}

/** The file's hash. A missing file gives another text; reading it fails later, when the node runs. */
export function hashInputFile(input: string): NonNullable<NodeDefinition['fingerprint']> {
  return async ({ [input]: name }, { folders }) => {
    const path = locateInputFile(String(name), folders);
    const hash = path === undefined ? undefined : await hashFile(path).catch(() => undefined);
    return hash ?? 'not readable';
  };
}

/** Like {@link hashInputFile} for large files: uses the modification time. */
export function dateInputFile(input: string): NonNullable<NodeDefinition['fingerprint']> {
  return async ({ [input]: name }, { folders }) => {
    const path = locateInputFile(String(name), folders);
    const entry = path === undefined ? undefined : await maybeStat(path);
    return entry ? String(entry.mtimeMs) : 'not readable';
  };
}

const maybeStat = (path: string) => stat(path).catch(() => undefined);

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
