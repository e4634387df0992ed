import { access, appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Agent } from 'undici';
import { stringify } from 'yaml';
import { describeError, WorkerError } from '../../errors.ts';
import { fetcherSettings, ModelFetcher } from '../../models/fetch/model-fetcher.ts';
import { lockManifest, withFacts } from '../../models/manifest/ask-site.ts';
import { draftManifest } from '../../models/manifest/init-manifest.ts';
import { installSoftware } from '../../models/manifest/install-software.ts';
import { lockPath, readManifest, writeYaml } from '../../models/manifest/read-manifest.ts';
import type { Manifest, ModelEntry } from '../../models/manifest/schema.ts';
import { cancellable } from '../cancellable.ts';
import { exitCode } from '../conclude.ts';
import type { CliContext } from '../context.ts';
import { fetchModels } from './fetch-models.ts';
import { A_WEEK_S, placesOf, type ModelsOptions } from './models.ts';
import { Screen } from '../screen.ts';

export type Phase = 'software' | 'before-start' | 'after-start';

export interface ApplyOptions extends ModelsOptions {
  /** All of them when left out. */
  readonly phase?: Phase;
  /** The folder of ComfyUI. */
  readonly comfy: string;
  readonly python?: string;
}

/** Installs and fetches what the manifest names. @returns the exit code. */
export async function applyManifest(options: ApplyOptions, context: CliContext): Promise<number> {
  const { comfy, phase, models } = options;
  using screen = new Screen(options);
  const { config, manifestPath, modelsFolder } = placesOf(
    { ...options, models: models ?? context.environment.MODELS_DIR ?? join(comfy, 'models') },
    context,
  );
  const manifest = await readManifest(manifestPath);
  const isIn = (one: Phase) => phase === undefined || phase === one;
  await using fetcher = new ModelFetcher(fetcherSettings(config, 'operator'));
  return await cancellable({ screen, timeoutS: A_WEEK_S }, async (signal) => {
    if (isIn('software'))
      await installSoftware(manifest, {
        comfyFolder: comfy,
        python: options.python ?? pythonOf(context.environment.VIRTUAL_ENV),
        signal,
        onStep: (text) => screen.note(`install   ${text}`),
        onLine: (line) => screen.note(`          ${line}`),
      });
    const { before_start: before, after_start: after } = manifest.models;
    const wanted = [...(isIn('before-start') ? before : []), ...(isIn('after-start') ? after : [])];
    const failed = await fetchModels(wanted, { fetcher, modelsFolder, screen, signal });
    return exitCode(failed === 0 ? 'done' : 'failed');
  });
}

const pythonOf = (environment: string | undefined) =>
  environment === undefined ? 'python3' : join(environment, 'bin', 'python');

/** Asks the sites and writes the lock file. */
export async function lock(options: ModelsOptions, context: CliContext): Promise<number> {
  using screen = new Screen(options);
  const { config, manifestPath } = placesOf(options, context);
  const { sites } = fetcherSettings(config, 'operator');
  await using agent = disposable(new Agent({ allowH2: false }));
  return await cancellable({ screen, timeoutS: ASK_S }, async (signal) => {
    const manifest = await readManifest(manifestPath);
    const locked = await lockManifest(manifest, { sites, agent: agent.agent, signal });
    const path = lockPath(manifestPath);
    await writeYaml(path, locked, 'Written by `comfyui-worker manifest lock`. Do not edit.');
    screen.note(`wrote     ${path}`);
    return exitCode('done');
  });
}

const ASK_S = 3600;

export interface InitOptions extends ModelsOptions {
  readonly force?: true;
  readonly offline?: true;
}

/** Writes a manifest from an installed ComfyUI, a snapshot, or a workflow. */
export async function initManifest(
  from: string,
  options: InitOptions,
  context: CliContext,
): Promise<number> {
  using screen = new Screen(options);
  const { config, manifestPath } = placesOf(options, context);
  const isThere = await access(manifestPath).then(
    () => true,
    () => false,
  );
  if (isThere && !options.force)
    throw new WorkerError('usage.invalid', `${manifestPath} is there; --force overwrites it`);
  const { sites } = fetcherSettings(config, 'operator');
  await using agent = disposable(new Agent({ allowH2: false }));
  return await cancellable({ screen, timeoutS: ASK_S }, async (signal) => {
    const onStep = (text: string) => screen.note(text);
    const { manifest, problems, unknown } = await draftManifest(from, { signal, onStep });
    const fill = async (model: ModelEntry): Promise<ModelEntry> => {
      if (options.offline) return model;
      try {
        return await withFacts(model, { sites, agent: agent.agent, signal });
      } catch (error) {
        signal.throwIfAborted();
        screen.problem(
          `Problem   ${model.url} is listed without size and SHA-256: ${describeError(error)}`,
        );
        return model;
      }
    };
    const before = [];
    for (const model of manifest.models.before_start) before.push(await fill(model));
    const filled: Manifest = { ...manifest, models: { ...manifest.models, before_start: before } };
    await writeYaml(manifestPath, filled, 'docs/models.md of comfyui-worker describes this file.');
    if (unknown.length > 0) {
      await appendFile(manifestPath, unknownModels(unknown));
      screen.problem(
        `Problem   Models without a known URL: ${unknown.length}. ${manifestPath} has them as comments, to be filled in`,
      );
    }
    for (const problem of problems) screen.problem(`Problem   ${problem}`);
    screen.note(`wrote     ${manifestPath}`);
    return exitCode('done');
  });
}

/** Entries as comments, that need only their URLs. */
function unknownModels(models: readonly Omit<ModelEntry, 'url'>[]): string {
  const entries = stringify(
    models.map((model) => ({ url: '?', ...model })),
    { lineWidth: 0 },
  );
  const lines = entries.trimEnd().split('\n');
  return `\n# Models without a URL. Move them up to models.before_start (in place of a []), and replace each "?".\n${lines.map((line) => `#   ${line}\n`).join('')}`;
}

function disposable(agent: Agent): AsyncDisposable & { readonly agent: Agent } {
  return { agent, [Symbol.asyncDispose]: () => agent.destroy() };
}
