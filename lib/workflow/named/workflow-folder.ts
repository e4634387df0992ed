import { readdir, stat } from 'node:fs/promises';
import { extname, join, sep } from 'node:path';
import { errnoOf, WorkerError } from '../../errors.ts';

/** A workflow file in the worker's folder. Its name is its path in the folder without the extension, with slashes. */
export interface WorkflowFile {
  readonly name: string;
  readonly path: string;
  /** A JavaScript or TypeScript module rather than JSON. */
  readonly isModule: boolean;
  /** Changes whenever the file changes. */
  readonly version: string;
}

/** The file of a workflow. Undefined if there is none, or the name could lead out of the folder. */
export async function findWorkflowFile(
  folder: string,
  name: string,
): Promise<WorkflowFile | undefined> {
  if (!isWorkflowName(name)) return undefined;
  for (const extension of EXTENSIONS) {
    const path = join(folder, name + extension);
    const found = await stat(path).catch(() => undefined);
    if (!found?.isFile()) continue;
    const version = `${found.mtimeMs}-${found.size}`;
    return { name, path, version, isModule: extension !== '.json' };
  }
  return undefined;
}

/** The names of all workflows in the folder, sorted. Empty if the folder does not exist. */
export async function workflowNames(folder: string): Promise<string[]> {
  const paths = await readdir(folder, { recursive: true }).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
  const names = paths.flatMap((path) => {
    const extension = extname(path);
    const name = path.slice(0, path.length - extension.length).replaceAll(sep, '/');
    return EXTENSIONS.includes(extension) && isWorkflowName(name) ? [name] : [];
  });
  return [...new Set(names)].sort();
}

/** The error for a workflow that exists but cannot be used. `problem` completes the sentence. */
export function brokenWorkflow(name: string, problem: string, cause?: unknown): WorkerError {
  return new WorkerError('workflow.broken', `Workflow ${JSON.stringify(name)} ${problem}`, {
    cause,
  });
}

/**
 * Parts that start with a dot would lead out of the folder or to hidden files. Parts that start with an underscore are for
 * other modules to import. Type declarations and tests are not workflows either.
 */
function isWorkflowName(name: string): boolean {
  const parts = name.split('/');
  return (
    parts.every((part) => /^[\p{L}\p{N}][\p{L}\p{N}_. -]*$/u.test(part)) &&
    !parts.includes('node_modules') &&
    !/\.(d|test)$/.test(name)
  );
}

/** In order of preference, if a name has several files. */
const EXTENSIONS = ['.json', '.ts', '.mts', '.js', '.mjs'];
