import { execFile } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const ENTRY = `${ROOT}dist/handler/index.js`;

/** The command of this worker as a container starts it; built first when `dist/` is missing or older than the sources. */
export async function builtWorkerCommand(): Promise<string> {
  if (await isStale()) await build();
  return `${quoted(process.execPath)} ${quoted(ENTRY)}`;
}

async function isStale(): Promise<boolean> {
  const built = await changedAt(ENTRY);
  const sources = await Promise.all(['handler', 'lib'].map(newestSource));
  return built < Math.max(...sources);
}

async function newestSource(folder: string): Promise<number> {
  const entries = await readdir(`${ROOT}${folder}`, { recursive: true });
  const sources = entries.filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
  return Math.max(
    ...(await Promise.all(sources.map((name) => changedAt(`${ROOT}${folder}/${name}`)))),
  );
}

/** Milliseconds since the epoch; 0 when there is no such file. */
async function changedAt(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  return found?.mtimeMs ?? 0;
}

async function build(): Promise<void> {
  const tsc = `${ROOT}node_modules/typescript/bin/tsc`;
  await promisify(execFile)(process.execPath, [tsc, '-p', `${ROOT}tsconfig.build.json`], {
    cwd: ROOT,
  });
}

function quoted(path: string): string {
  return `'${path.replaceAll("'", String.raw`'\''`)}'`;
}
