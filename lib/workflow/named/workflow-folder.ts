import { readdir, stat } from 'node:fs/promises';
import { extname, join, sep } from 'node:path';
import { errnoOf } from '../../errors.ts';

/** A workflow kept on this worker. Its name is its path in the folder, without ending, with slashes. */
export interface WorkflowFile {
  readonly name: string;
  readonly path: string;
  readonly isModule: boolean;
  /** Differs when the file has been changed. */
  readonly version: string;
}

/** The file of a workflow; undefined when there is none, or the name is not one of a file within the folder. */
export async function findWorkflowFile(
  folder: string,
  name: string,
): Promise<WorkflowFile | undefined> {
  if (!isName(name)) return undefined;
  for (const ending of ENDINGS) {
    const file = await lookAt(join(folder, name + ending), name);
    if (file) return file;
  }
  return undefined;
}

/** All workflows of the folder by name, in alphabetical order; none when there is no folder. */
export async function workflowNames(folder: string): Promise<string[]> {
  const paths = await readdir(folder, { recursive: true }).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
  const names = paths.flatMap((path) => {
    const ending = extname(path);
    const name = path.slice(0, path.length - ending.length).replaceAll(sep, '/');
    return ENDINGS.includes(ending) && isName(name) ? [name] : [];
  });
  return [...new Set(names)].sort();
}

async function lookAt(path: string, name: string): Promise<WorkflowFile | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) return undefined;
  const version = `${found.mtimeMs}-${found.size}`;
  return { name, path, version, isModule: !path.endsWith('.json') };
}

/**
 * Parts that begin with a dot would lead out of the folder or into what is hidden, those that begin with an underscore are
 * there for other modules to import. Declarations and tests are no workflows either.
 */
function isName(name: string): boolean {
  const parts = name.split('/');
  return (
    parts.every((part) => /^[\p{L}\p{N}][\p{L}\p{N}_. -]*$/u.test(part)) &&
    !parts.includes('node_modules') &&
    !/\.(d|test)$/.test(name)
  );
}

/** The first that is there wins. */
const ENDINGS = ['.json', '.ts', '.mts', '.js', '.mjs'];
