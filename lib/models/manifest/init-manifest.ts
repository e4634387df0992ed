import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { z } from 'zod';
import { shownLines } from '../../errors.ts';
import { JsonText } from '../../json.ts';
import { recognise } from '../../workflow/recognise.ts';
import { sha256OfFile } from '../fetch/prefix-hash.ts';
import { runProgram } from '../../processes/run-program.ts';
import {
  invalidManifest,
  ManifestSchema,
  type Manifest,
  type ModelEntry,
  type NodePack,
} from './schema.ts';

/** A manifest made from something that exists, and what could not be taken over. */
export interface Draft {
  readonly manifest: Manifest;
  readonly problems: readonly string[];
  /** Models without a URL, to be filled in by hand. */
  readonly unknown: readonly Omit<ModelEntry, 'url'>[];
}

/** Told of what takes long. */
type OnStep = (text: string) => void;

/**
 * Makes a manifest from an installed ComfyUI (a folder), a snapshot of ComfyUI-Manager, or a workflow (JSON files).
 * @throws WorkerError `manifest.invalid` if it is none of these
 */
export async function draftManifest(
  path: string,
  { signal, onStep }: { readonly signal: AbortSignal; readonly onStep: OnStep },
): Promise<Draft> {
  const found = await stat(path).catch(() => undefined);
  if (!found) throw invalidManifest(path, ['there is no such file or folder']);
  if (found.isDirectory()) return await fromFolder(path, signal, onStep);
  const json = JsonText.maybeParse(await readFile(path, 'utf8'));
  if (!json) throw invalidManifest(path, ['it is not JSON']);
  const snapshot = SnapshotSchema.safeParse(json.value());
  if (snapshot.success) return fromSnapshot(snapshot.data);
  return fromWorkflow(json, path);
}

/** A snapshot of ComfyUI-Manager (`glob/manager_core.py`, `get_current_snapshot`); ComfyUI Desktop writes the same. */
const SnapshotSchema = z
  .object({
    git_custom_nodes: z
      .record(z.string(), z.object({ hash: z.string(), disabled: z.boolean().optional() }))
      .optional(),
    cnr_custom_nodes: z.record(z.string(), z.string()).optional(),
    comfyui: z.string().nullish(),
    pips: z.record(z.string(), z.string()).optional(),
    file_custom_nodes: z.array(z.unknown()).optional(),
  })
  .refine((one) => one.git_custom_nodes !== undefined || one.cnr_custom_nodes !== undefined);

function fromSnapshot(snapshot: z.infer<typeof SnapshotSchema>): Draft {
  const { comfyui, git_custom_nodes, cnr_custom_nodes, pips, file_custom_nodes } = snapshot;
  const git = Object.entries(git_custom_nodes ?? {})
    .filter(([, { disabled }]) => disabled !== true)
    .map(([url, { hash }]) => ({ url, ref: hash }));
  const packages = Object.entries(cnr_custom_nodes ?? {}).map(([name, version]) => ({
    name,
    version,
  }));
  const manifest = ManifestSchema.parse({ custom_nodes: [...git, ...packages] });
  const count = (values: object | undefined) => Object.keys(values ?? {}).length;
  const left = [
    comfyui && `ComfyUI at ${comfyui}: the one that is installed stays`,
    count(pips) > 0 && `${count(pips)} Python packages: node packs install their own`,
    count(file_custom_nodes) > 0 &&
      `${count(file_custom_nodes)} nodes that are single files: copy them by hand`,
  ].filter((line) => typeof line === 'string' && line !== '');
  const problems = left.map((line) => `the snapshot also has ${String(line)}`);
  return { manifest, problems, unknown: [] };
}

/** Node packs and models that a workflow of the editor lists itself (`properties` of its nodes), and all other names of models. */
function fromWorkflow(json: JsonText, path: string): Draft {
  const found = recognise(json);
  if (found.kind === 'other' || found.kind === 'name')
    throw invalidManifest(path, [
      `it is ${found.what}; expected a workflow or a snapshot of ComfyUI-Manager`,
    ]);
  const workflow = found.kind === 'editor' ? found.workflow : json;
  const models = modelsInWorkflow(workflow);
  const manifest = ManifestSchema.parse({
    custom_nodes: packsInWorkflow(workflow),
    models: { before_start: models, after_start: [] },
  });
  const listed = new Set(models.map(({ filename }) => filename));
  const names = modelNames(json).filter((name) => !listed.has(name.split(/[/\\]/).at(-1)));
  const problems = names.map((name) => `the workflow does not say where ${name} comes from`);
  // A loader names a model by its path below the folder of its type, which the file does not tell.
  const unknown = names.slice(0, MAX_MODELS).map((name) => {
    const path = name.split(/[/\\]/);
    return { folder: ['?', ...path.slice(0, -1)].join('/'), filename: path.at(-1) };
  });
  return { manifest, problems: shownLines(problems), unknown };
}

const MAX_PACKS = 500;

/** The node packs that the nodes of an editor file name, in its subgraphs as well; each once. */
function packsInWorkflow(workflow: JsonText): NodePack[] {
  const packs = new Map<string, NodePack>();
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null || packs.size >= MAX_PACKS) return;
    const pack = PackOfNodeSchema.safeParse(value).data;
    if (pack) packs.set('name' in pack ? pack.name : pack.url, pack);
    Object.values(value).forEach(visit);
  };
  visit(workflow.value());
  return [...packs.values()];
}

/** `properties` of a node: a package of Comfy's registry (`cnr_id`), or a repository at GitHub (`aux_id`), and its version or commit. */
const PackOfNodeSchema = z.union([
  z
    .object({ cnr_id: z.string().regex(/^(?!comfy-core$)[\w.-]+$/), ver: z.string().optional() })
    .transform(({ cnr_id: name, ver }): NodePack => {
      return ver !== undefined && /^\d+(?:\.\d+)+$/.test(ver) ? { name, version: ver } : { name };
    }),
  z
    .object({
      aux_id: z.string().regex(/^[\w.-]+\/[\w.-]+$/),
      ver: z.string().regex(/^[0-9a-f]{40}$/),
    })
    .transform(({ aux_id, ver }): NodePack => ({ url: `https://github.com/${aux_id}`, ref: ver })),
]);

/** All texts in a workflow that are names of model files; each once. */
function modelNames(workflow: JsonText): string[] {
  const names = new Set<string>();
  const visit = (value: unknown): void => {
    if (typeof value === 'string' && /^[^\n:]+$/.test(value) && MODEL_FILE.test(value))
      names.add(value);
    else if (typeof value === 'object' && value !== null) Object.values(value).forEach(visit);
  };
  visit(workflow.value());
  return [...names];
}

const MAX_MODELS = 500;

/** The models that the nodes of an editor file name with a URL, in its subgraphs as well; each once. */
export function modelsInWorkflow(workflow: JsonText): ModelEntry[] {
  const models = new Map<string, ModelEntry>();
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null || models.size >= MAX_MODELS) return;
    const listed = ListedModelsSchema.safeParse(value);
    for (const model of listed.data?.models ?? [])
      models.set(`${model.folder}/${model.filename}`, model);
    Object.values(value).forEach(visit);
  };
  visit(workflow.value());
  return [...models.values()];
}

/** `{"models": [{"name", "url", "directory", "hash"}]}`, as in `properties` of a node (`zModelFile` in the editor). */
const ListedModelsSchema = z.object({
  models: z.array(
    z
      .object({
        name: z.string().regex(/^[^/\\]+$/),
        url: z.url({ protocol: /^https?$/ }),
        directory: z.string().regex(/^[\w.-]+(?:\/[\w.-]+)*$/),
        hash: z.string().optional(),
        hash_type: z.string().optional(),
      })
      .transform(({ name, url, directory, hash, hash_type: type }): ModelEntry => {
        const isSha256 = /^sha256$/i.test(type ?? '') && /^[0-9a-f]{64}$/i.test(hash ?? '');
        const sha256 = isSha256 ? { sha256: hash?.toLowerCase() } : {};
        return { url, folder: directory, filename: name, ...sha256 };
      }),
  ),
});

/** Node packs of an installed ComfyUI with their commits or versions, and its models. Files do not say where they came from. */
async function fromFolder(folder: string, signal: AbortSignal, onStep: OnStep): Promise<Draft> {
  const entries = await readdir(folder).catch((): string[] => []);
  if (!entries.includes('custom_nodes') && !entries.includes('models'))
    throw invalidManifest(folder, [
      'it is no folder of ComfyUI: it has neither custom_nodes nor models',
    ]);
  const problems: string[] = [];
  const packs: NodePack[] = [];
  const installed = await readdir(join(folder, 'custom_nodes'), { withFileTypes: true }).catch(
    () => [],
  );
  for (const entry of installed) {
    if (!entry.isDirectory() || /^(?:[._]|.*\.disabled$)/.test(entry.name)) continue;
    const pack = await maybePack(join(folder, 'custom_nodes', entry.name), signal);
    if (pack) packs.push(pack);
    else
      problems.push(
        `custom_nodes/${entry.name} is neither a git repository with an origin nor a package of Comfy's registry; add it by hand`,
      );
  }
  const unknown = [];
  for (const { path, size } of await modelFiles(join(folder, 'models'))) {
    onStep(`hash      models/${path}`);
    const sha256 = await sha256OfFile(join(folder, 'models', path), size);
    signal.throwIfAborted();
    unknown.push({ folder: dirname(path), filename: basename(path), sha256, size });
  }
  return { manifest: ManifestSchema.parse({ custom_nodes: packs }), problems, unknown };
}

/** Where a node pack is from: its git repository, or Comfy's registry. Undefined if it does not tell. */
async function maybePack(at: string, signal: AbortSignal): Promise<NodePack | undefined> {
  const git = (words: readonly string[]) =>
    runProgram(['git', '-C', at, ...words], { signal, onLine: () => undefined });
  try {
    // Without its own repository git would answer for the one around it.
    await stat(join(at, '.git'));
    const url = (await git(['remote', 'get-url', 'origin'])).trim();
    return { url, ref: (await git(['rev-parse', 'HEAD'])).trim() };
  } catch {
    signal.throwIfAborted();
  }
  // ComfyUI-Manager leaves `.tracking` in what it installs from the registry.
  const isTracked = await stat(join(at, '.tracking')).catch(() => undefined);
  const project = isTracked
    ? await readFile(join(at, 'pyproject.toml'), 'utf8').catch(() => '')
    : '';
  const [, name] = /^name\s*=\s*["']([\w.-]+)["']/m.exec(project) ?? [];
  const [, version] = /^version\s*=\s*["']([\w.+-]+)["']/m.exec(project) ?? [];
  return name !== undefined && version !== undefined ? { name, version } : undefined;
}

/** All model files below a folder, with their bytes; paths are relative to it and sorted. */
export async function modelFiles(folder: string): Promise<{ path: string; size: number }[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => MODEL_FILE.test(entry.name) && !entry.isDirectory());
  const found = await Promise.all(
    files.map(async (entry) => {
      const path = join(entry.parentPath, entry.name);
      const { size } = await stat(path).catch(() => ({ size: 0 }));
      return { path: relative(folder, path), size };
    }),
  );
  return found.filter(({ size }) => size > 0).sort((a, b) => (a.path < b.path ? -1 : 1));
}

const MODEL_FILE = /\.(?:safetensors|sft|ckpt|pt2?|pth|bin|gguf|onnx|pkl)$/i;
