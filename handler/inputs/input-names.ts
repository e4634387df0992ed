import { posix } from 'node:path';

/**
 * Names of input files: as a caller sends them, as ComfyUI stores them, and as loaders of a workflow write them. A loader
 * writes `folder/name.png`, and may add ` [input]`, ` [output]` or ` [temp]` for the folder it reads from
 * (`annotated_filepath` in `folder_paths.py`).
 */

/** The folder and the name under which a file that was sent as `sent` is stored in ComfyUI's input folder. */
export function storedName(sent: string): { readonly subfolder: string; readonly name: string } {
  const path = posix.normalize(readAnnotation(sent).path.replaceAll('\\', '/')).replace(/^\/+/, '');
  const end = path.lastIndexOf('/');
  // Browsers and undici escape these in the names of uploaded files, and ComfyUI keeps them escaped.
  const name = path
    .slice(end + 1)
    .replace(/["\r\n]/g, (character) => encodeURIComponent(character));
  return { subfolder: path.slice(0, Math.max(0, end)), name };
}

export interface AnnotatedPath {
  readonly path: string;
  readonly type: 'input' | 'output' | 'temp';
}

export function readAnnotation(value: string): AnnotatedPath {
  const found = /^(.+) \[(input|output|temp)\]$/s.exec(value);
  if (found === null) return { path: value, type: 'input' };
  const [, path = '', type] = found;
  return { path, type: type as AnnotatedPath['type'] };
}

/** Equal for two names that differ only in case, in `%20` and the like, in Unicode form, or in the kind of slash. */
export function nameKey(path: string): string {
  return unescaped(path)
    .replaceAll('\\', '/')
    .replace(/^(\.?\/)+/, '')
    .normalize('NFC')
    .toLowerCase();
}

function unescaped(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path.replaceAll('%20', ' '); // a percent sign that escapes nothing
  }
}

/** Whether a text can be a file's name: it has a folder or an extension. */
export function isFileName(text: string): boolean {
  return text.length <= MAX_PATH && /[\\/]|\.[a-z0-9]{1,16}$/i.test(text);
}

const MAX_PATH = 4096;
