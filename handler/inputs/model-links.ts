import { readdir } from 'node:fs/promises';
import { choicesOf } from '../../lib/choices.ts';
import type { ComfyBackend, Progress } from '../../lib/comfy/backend.ts';
import { WorkerError } from '../../lib/errors.ts';
import type { JsonText } from '../../lib/json.ts';
import type { ModelCache } from '../../lib/models/cache/model-cache.ts';
import { declarationOf } from '../../lib/workflow/check/dynamic-inputs.ts';
import { nodeLabel, readGraph, type GraphNode } from '../../lib/workflow/graph.ts';
import { isUrl, loaderOf } from './input-links.ts';

interface ModelLink {
  readonly node: GraphNode;
  readonly inputName: string;
  readonly value: JsonText;
  readonly url: string;
  /** The files that the loader offers. */
  readonly choices: readonly string[];
}

interface ModelLinkOptions {
  readonly comfy: Pick<ComfyBackend, 'describeNodes' | 'modelFolders'>;
  readonly cache: ModelCache;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
}

/** The workflow with names in the place of URLs. Disposing it releases the models. */
export interface LinkedModels extends Disposable {
  readonly workflow: JsonText;
}

/**
 * Fetches the models that loaders of a workflow name by URL, one after the other, into the folders that the loaders read.
 * @throws WorkerError `model.*`
 */
export async function fetchLinkedModels(
  workflow: JsonText,
  options: ModelLinkOptions,
): Promise<LinkedModels> {
  const { cache, signal, onProgress } = options;
  using held = new DisposableStack();
  const links = await findModelLinks(workflow, options);
  const edits: [JsonText, string][] = [];
  const folders = links.length > 0 ? await options.comfy.modelFolders(signal) : new Map();
  for (const link of links) {
    const { node, url, value } = link;
    const folder = await folderOf(link, folders);
    const nodeTitle = `Fetching ${new URL(url).pathname.split('/').at(-1) ?? ''}`;
    const model = await cache.obtain(url, folder, {
      signal,
      onProgress: ({ bytes, total = 0 }) =>
        onProgress({
          percent: 0,
          node: node.nodeId,
          nodeTitle,
          step: Math.round(bytes / 1e6),
          steps: Math.round(Math.max(bytes, total) / 1e6),
        }),
    });
    held.use(model);
    edits.push([value, JSON.stringify(model.name)]);
  }
  const kept = held.move();
  return {
    workflow: edits.length > 0 ? workflow.replacingAll(edits) : workflow,
    [Symbol.dispose]: () => kept.dispose(),
  };
}

/** URLs at inputs that offer a list of files, and are no loaders of input files. */
async function findModelLinks(
  workflow: JsonText,
  { comfy, signal }: ModelLinkOptions,
): Promise<ModelLink[]> {
  const found = [...readGraph(workflow).values()].flatMap((node) =>
    [...(node.inputs ?? [])].flatMap(([inputName, value]) => {
      const url = value.asString()?.trim() ?? '';
      return isUrl(url) ? [{ node, inputName, value, url }] : [];
    }),
  );
  if (found.length === 0) return [];
  const classTypes = found.map(({ node }) => node.classType ?? '');
  const infos = await comfy.describeNodes(classTypes, { signal });
  return found.flatMap((link) => {
    const declaration = declarationOf(link.node, link.inputName, infos);
    const choices = choicesOf(declaration);
    const isInput = loaderOf(link.node.classType, link.inputName, declaration) !== undefined;
    return choices && !isInput ? [{ ...link, choices }] : [];
  });
}

/**
 * The first path of the model folder that a loader reads: the one whose files are the choices of the loader. If there are
 * none yet, the folder that loaders of ComfyUI read at an input of this name.
 */
async function folderOf(
  { node, inputName, choices }: ModelLink,
  folders: ReadonlyMap<string, readonly string[]>,
): Promise<string> {
  const usual = USUAL_FOLDERS[`${node.classType}.${inputName}`] ?? USUAL_FOLDERS[inputName];
  const candidates = [...new Set([usual ?? '', ...folders.keys()])];
  for (const name of choices.length > 0 ? candidates : []) {
    const paths = folders.get(name) ?? [];
    const lists = await Promise.all(
      paths.map((path) => readdir(path, { recursive: true }).catch(() => [])),
    );
    const files = new Set(lists.flat());
    const [first] = paths;
    if (first !== undefined && choices.some((choice) => files.has(choice))) return first;
  }
  const [path] = folders.get(usual ?? '') ?? [];
  if (path !== undefined) return path;
  throw new WorkerError(
    'model.refused',
    `Node ${nodeLabel(node)}: ${inputName} is a URL, and ComfyUI does not tell which folder this loader reads; fetch the model beforehand`,
  );
}

/** By input, or by class and input where they differ. */
const USUAL_FOLDERS: Readonly<Record<string, string>> = {
  ckpt_name: 'checkpoints',
  lora_name: 'loras',
  vae_name: 'vae',
  unet_name: 'diffusion_models',
  clip_name: 'text_encoders',
  clip_name1: 'text_encoders',
  clip_name2: 'text_encoders',
  clip_name3: 'text_encoders',
  clip_name4: 'text_encoders',
  'CLIPVisionLoader.clip_name': 'clip_vision',
  control_net_name: 'controlnet',
  style_model_name: 'style_models',
  gligen_name: 'gligen',
  'UpscaleModelLoader.model_name': 'upscale_models',
};
