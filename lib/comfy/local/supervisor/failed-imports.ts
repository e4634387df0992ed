import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isWorkerError, WorkerError } from '../../../errors.ts';
import { withoutPaths } from '../../../http/redact.ts';
import type { FailedImport } from './comfy-output.ts';

/**
 * Adds to the refusal of an unknown node class which node packs failed to load, with their errors and tracebacks. When the
 * files of a pack contain the name of the class, only that pack is named. Other errors are returned unchanged.
 */
export async function withFailedImports<E>(
  error: E,
  failedImports: readonly FailedImport[],
): Promise<E | WorkerError> {
  if (!isWorkerError(error, 'comfy.rejected') || failedImports.length === 0) return error;
  const classType = /\bnode '?(.+?)'? (?:does not exist|not found)/i.exec(error.message)?.[1];
  if (classType === undefined) return error;
  const definesIt = await Promise.all(failedImports.map((one) => isNamedIn(one, classType)));
  const certain = failedImports.filter((_, index) => definesIt[index]);
  const quoted = (certain.length > 0 ? certain : failedImports).slice(0, QUOTED_PACKS);
  const lines = quoted.map(
    (one) =>
      `• ${one.name}: ${withoutPaths(one.error || 'the log of the worker has the reason', '')}`,
  );
  const headline =
    certain.length > 0
      ? `${classType} belongs to a node pack that failed to load:`
      : 'These node packs failed to load, and one of them may have it:';
  return new WorkerError('comfy.rejected', `${error.message}\n\n${headline}\n${lines.join('\n')}`, {
    cause: error,
    details: [...(error.details ?? []), ...quoted.flatMap(tracebackText)],
  });
}

/** One text for each traceback: its end is the most useful part. */
function tracebackText({ name, traceback }: FailedImport): string[] {
  if (traceback.length === 0) return [];
  const lines = traceback.slice(-QUOTED_LINES).map((line) => withoutPaths(line, ''));
  return [`${name}: ${lines.join('\n')}`];
}

/** Whether a Python file of the pack has the name of the class in quotes. Looks into the first `MAX_FILES` files only. */
async function isNamedIn({ path }: FailedImport, classType: string): Promise<boolean> {
  if (path === undefined) return false;
  const quoted = [`"${classType}"`, `'${classType}'`];
  for (const file of await pythonFiles(path)) {
    const info = await stat(file).catch(() => undefined);
    if (!info || info.size > MAX_FILE_BYTES) continue;
    const text = await readFile(file, 'utf8').catch(() => '');
    if (quoted.some((name) => text.includes(name))) return true;
  }
  return false;
}

async function pythonFiles(path: string): Promise<string[]> {
  if (path.endsWith('.py')) return [path];
  const entries = await readdir(path, { recursive: true }).catch(() => []);
  return entries
    .filter((name) => name.endsWith('.py'))
    .slice(0, MAX_FILES)
    .map((name) => join(path, name));
}

const QUOTED_PACKS = 10;
const QUOTED_LINES = 10;
const MAX_FILES = 300;
const MAX_FILE_BYTES = 1_000_000;
