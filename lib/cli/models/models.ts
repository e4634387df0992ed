import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readConfig, type Config } from '../../config.ts';
import { WorkerError } from '../../errors.ts';
import { lockPathOf, lockUnlessHeld } from '../../models/fetch/file-lock.ts';
import { fetcherSettings, ModelFetcher } from '../../models/fetch/model-fetcher.ts';
import { sha256OfFile } from '../../models/fetch/prefix-hash.ts';
import { modelFiles } from '../../models/manifest/init-manifest.ts';
import { maybeManifest, modelsOf, readManifest } from '../../models/manifest/read-manifest.ts';
import { ManifestSchema, type ModelEntry } from '../../models/manifest/schema.ts';
import { cancellable } from '../cancellable.ts';
import { exitCode } from '../conclude.ts';
import type { CliContext } from '../context.ts';
import { fetchModels, gigabytes, modelPath } from './fetch-models.ts';
import { Screen } from '../screen.ts';

/** Options of all `models` commands. */
export interface ModelsOptions {
  readonly manifest?: string;
  /** ComfyUI's `models`. */
  readonly models?: string;
  readonly quiet?: true;
}

export interface PullOptions extends ModelsOptions {
  readonly folder?: string;
  readonly filename?: string;
  readonly revision?: string;
  readonly sha256?: string;
}

interface Places {
  readonly config: Config;
  readonly manifestPath: string;
  readonly modelsFolder: string;
}

/** Options win over variables. */
export function placesOf(
  { manifest, models }: Pick<ModelsOptions, 'manifest' | 'models'>,
  { environment }: CliContext,
): Places {
  const config = readConfig(environment);
  return {
    config,
    manifestPath: manifest ?? config.MANIFEST_FILE,
    modelsFolder: models ?? config.MODELS_DIR ?? '/comfyui/models',
  };
}

/** Fetches one model, or those of the manifest. @returns the exit code. */
export async function pullModels(
  url: string | undefined,
  options: PullOptions,
  context: CliContext,
): Promise<number> {
  using screen = new Screen(options);
  const { config, manifestPath, modelsFolder } = placesOf(options, context);
  const models =
    url === undefined ? modelsOf(await readManifest(manifestPath)) : [singleModel(url, options)];
  await using fetcher = new ModelFetcher(fetcherSettings(config, 'operator'));
  return await cancellable({ screen, timeoutS: A_WEEK_S }, async (signal) => {
    const failed = await fetchModels(models, { fetcher, modelsFolder, screen, signal });
    return exitCode(failed === 0 ? 'done' : 'failed');
  });
}

/** Downloads have no time limit: they end when they make no progress. */
export const A_WEEK_S = 604_800;

function singleModel(
  url: string,
  { folder = '', filename, revision, sha256 }: PullOptions,
): ModelEntry {
  const model = { url, folder, filename, revision, sha256 };
  const parsed = ManifestSchema.shape.models.safeParse({
    before_start: [
      Object.fromEntries(Object.entries(model).filter(([, value]) => value !== undefined)),
    ],
    after_start: [],
  });
  const [entry] = parsed.data?.before_start ?? [];
  if (entry) return entry;
  const problems = parsed.error?.issues.map(
    ({ path, message }) => `${String(path.at(-1))} ${message}`,
  );
  throw new WorkerError(
    'usage.invalid',
    `Expected a URL and --folder: ${problems?.join('; ') ?? ''}`,
  );
}

/** Lists the models in the folder, and those of the manifest that are missing. */
export async function listModels(options: ModelsOptions, context: CliContext): Promise<number> {
  using screen = new Screen(options);
  const { manifestPath, modelsFolder } = placesOf(options, context);
  const wanted = await wantedModels(manifestPath, modelsFolder);
  const present = await modelFiles(modelsFolder);
  for (const { path, size } of present) {
    const isListed = wanted.delete(join(modelsFolder, path));
    screen.data(`${gigabytes(size).padStart(10)}  ${isListed ? 'manifest' : '-       '}  ${path}`);
  }
  for (const path of wanted.keys()) screen.data(`${'missing'.padStart(10)}  manifest  ${path}`);
  if (present.length + wanted.size === 0)
    screen.note(
      `No models in ${modelsFolder} (--models), and none in ${manifestPath} (--manifest)`,
    );
  return exitCode('done');
}

/** Checks size and SHA-256 of all models of the manifest. @returns the exit code: 1 if one is missing or wrong. */
export async function verifyModels(options: ModelsOptions, context: CliContext): Promise<number> {
  using screen = new Screen(options);
  const { manifestPath, modelsFolder } = placesOf(options, context);
  let problems = 0;
  for (const [path, model] of await wantedModels(manifestPath, modelsFolder, readManifest)) {
    const problem = await problemOf(path, model);
    if (problem === undefined) screen.note(`ok        ${path}`);
    else screen.problem(`BROKEN    ${path}: ${problem}`);
    if (problem !== undefined) problems++;
  }
  return exitCode(problems === 0 ? 'done' : 'failed');
}

async function problemOf(path: string, { size, sha256 }: ModelEntry): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (!found) return 'it is missing; `comfyui-worker models pull` fetches it';
  if (size !== undefined && size !== found.size) return `it has ${found.size} bytes, not ${size}`;
  if (sha256 === undefined) return undefined;
  const digest = await sha256OfFile(path, found.size);
  return digest === sha256 ? undefined : `its SHA-256 is ${digest}, not ${sha256}`;
}

export interface PruneOptions extends ModelsOptions {
  readonly unlisted?: true;
  readonly dryRun?: true;
}

/**
 * Removes what broken-off downloads have left, and with `unlisted` also models that the manifest does not name. Downloads
 * that are running, here or on another machine, keep their files.
 */
export async function pruneModels(options: PruneOptions, context: CliContext): Promise<number> {
  using screen = new Screen(options);
  const { manifestPath, modelsFolder } = placesOf(options, context);
  const remove = async (path: string) => {
    if (!options.dryRun) await rm(path, { force: true });
    screen.note(`${options.dryRun ? 'would remove' : 'removed'}  ${path}`);
  };
  return await cancellable({ screen, timeoutS: A_WEEK_S }, async (signal) => {
    const wanted = await wantedModels(manifestPath, modelsFolder, options.unlisted && readManifest);
    const entries = await readdir(modelsFolder, { recursive: true }).catch(() => []);
    const leftovers = Map.groupBy(
      entries.filter((path) => LEFTOVER.test(path)).map((path) => join(modelsFolder, path)),
      (path) => path.replace(LEFTOVER, ''),
    );
    const pruned = [...leftovers].map(async ([target, paths]) => {
      await using lock = await lockUnlessHeld(lockPathOf(target), signal);
      if (lock) for (const path of paths) await remove(path);
      else screen.note(`kept  ${target}.part: it is being downloaded`);
    });
    await Promise.all(pruned);
    if (!options.unlisted) return exitCode('done');
    const models = (await modelFiles(modelsFolder)).map(({ path }) => join(modelsFolder, path));
    for (const path of models.filter((one) => !wanted.has(one))) await remove(path);
    return exitCode('done');
  });
}

const LEFTOVER = /\.part(?:\.journal|\.lock)?$/;

/** The models of the manifest by path. */
async function wantedModels(
  manifestPath: string,
  modelsFolder: string,
  read: typeof maybeManifest = maybeManifest,
): Promise<Map<string, ModelEntry>> {
  const manifest = await read(manifestPath);
  const models = manifest ? modelsOf(manifest) : [];
  return new Map(models.map((model) => [modelPath(modelsFolder, model), model]));
}
