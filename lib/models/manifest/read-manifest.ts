import { readFile, writeFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import { describeError, errnoOf, WorkerError } from '../../errors.ts';
import {
  filenameOf,
  LockSchema,
  ManifestSchema,
  parseYaml,
  type Lock,
  type Manifest,
  type ModelEntry,
} from './schema.ts';

/** The path of the lock file of a manifest: `manifest.yaml` has `manifest.lock.yaml`. */
export function lockPath(manifestPath: string): string {
  return manifestPath.replace(/(?:\.ya?ml|\.json)?$/, '.lock.yaml');
}

/**
 * Reads a manifest. Fields that it leaves open are filled from its lock file, if there is one.
 * @throws WorkerError `manifest.invalid`
 */
export async function readManifest(path: string): Promise<Manifest> {
  const text = await maybeRead(path);
  if (text === undefined)
    throw new WorkerError('manifest.invalid', `There is no manifest at ${path} (MANIFEST_FILE)`);
  return withLock(parseYaml(text, ManifestSchema, path), await readLock(path));
}

/** The same; undefined if there is no such file. */
export async function maybeManifest(path: string): Promise<Manifest | undefined> {
  return (await maybeRead(path)) === undefined ? undefined : await readManifest(path);
}

async function readLock(manifestPath: string): Promise<Lock | undefined> {
  const path = lockPath(manifestPath);
  const text = await maybeRead(path);
  return text === undefined ? undefined : parseYaml(text, LockSchema, path);
}

function withLock(manifest: Manifest, lock: Lock | undefined): Manifest {
  if (!lock) return manifest;
  const fill = (model: ModelEntry): ModelEntry => {
    const { commit, sha256, size, filename } =
      lock.models.find(({ url, revision }) => url === model.url && revision === model.revision) ??
      {};
    const locked = { sha256, size, filename, ...model, revision: commit ?? model.revision };
    return Object.fromEntries(
      Object.entries(locked).filter(([, value]) => value !== undefined),
    ) as ModelEntry;
  };
  return {
    ...manifest,
    models: {
      before_start: manifest.models.before_start.map(fill),
      after_start: manifest.models.after_start.map(fill),
    },
    custom_nodes: manifest.custom_nodes.map((pack) => {
      if (!('url' in pack)) return pack;
      const locked = lock.custom_nodes.find(({ url, ref }) => url === pack.url && ref === pack.ref);
      return { ...pack, ref: locked?.commit ?? pack.ref };
    }),
  };
}

export function modelsOf({ models }: Pick<Manifest, 'models'>): readonly ModelEntry[] {
  return [...models.before_start, ...models.after_start];
}

/** The file names of its models; none if there is no manifest, or it is not usable. */
export async function namesInManifest(path: string): Promise<ReadonlySet<string>> {
  const manifest = await maybeManifest(path).catch(() => undefined);
  return new Set((manifest ? modelsOf(manifest) : []).map(filenameOf));
}

/** Writes a manifest or lock file, without its empty lists. */
export async function writeYaml(path: string, content: Partial<Manifest> | Lock, comment: string) {
  const isEmpty = (value: unknown) => Array.isArray(value) && value.length === 0;
  const kept = Object.entries(content).filter(([, value]) => !isEmpty(value));
  await writeFile(path, `# ${comment}\n${stringify(Object.fromEntries(kept), { lineWidth: 0 })}`);
}

/** Undefined if there is no such file. */
async function maybeRead(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw new WorkerError('manifest.invalid', `${path} cannot be read: ${describeError(error)}`);
  }
}
