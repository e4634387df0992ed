import { posix } from 'node:path';
import type { JsonText } from '../json.ts';
import { readGraph, type GraphNode } from './graph.ts';
import { hasOption, readNodeInfo, type InputInfo, type NodeInfos } from './node-info.ts';

/** Classes of the nodes that {@link withJobPrefix} may change. Their descriptions decide. */
export function classesWithPrefix(workflow: JsonText): ReadonlySet<string> {
  const nodes = [...readGraph(workflow).values()];
  return new Set(nodes.filter(prefixOf).flatMap(({ classType }) => classType ?? []));
}

/**
 * Makes every node that saves media save it below `folder` (`jobs/17`) in the output folder, by writing the folder in
 * front of the node's `filename_prefix`. Every other character stays.
 * @returns the same workflow object if no node can be changed.
 */
export function withJobPrefix(workflow: JsonText, folder: string, infos: NodeInfos): JsonText {
  const edits: [JsonText, string][] = [];
  for (const node of readGraph(workflow).values()) {
    const prefix = prefixOf(node);
    if (!prefix || !isMediaSaver(infos.get(node.classType ?? ''))) continue;
    // ComfyUI refuses a prefix that leads out of the output folder. One that names no file would get another meaning.
    const path = posix.normalize((prefix.asString() ?? '').replaceAll('\\', '/'));
    if (/^(?:\/|[a-z]:|\.\.(?:\/|$)|\.?\/?$)/i.test(path)) continue;
    edits.push([prefix, `"${folder}/${prefix.text.slice(1)}`]);
  }
  return edits.length === 0 ? workflow : workflow.replacingAll(edits);
}

/**
 * Undoes {@link withJobPrefix} in a prompt as ComfyUI writes it into files. Every other character stays.
 * @returns the same object if no node saves into `folder`.
 */
export function withCallersPrefix(prompt: JsonText, folder: string): JsonText {
  const own = `"${folder}/`;
  const edits = [...readGraph(prompt).values()].flatMap((node): [JsonText, string][] => {
    const prefix = prefixOf(node);
    if (!prefix?.text.startsWith(own)) return [];
    return [[prefix, `"${prefix.text.slice(own.length)}`]];
  });
  return edits.length === 0 ? prompt : prompt.replacingAll(edits);
}

/** The subfolder that ComfyUI would have reported without {@link withJobPrefix}. */
export function withoutJobFolder(subfolder: string, folder: string): string {
  if (subfolder === folder) return '';
  return subfolder.startsWith(`${folder}/`) ? subfolder.slice(folder.length + 1) : subfolder;
}

/** The node's `filename_prefix`, unless it comes from another node. */
function prefixOf({ inputs }: GraphNode): JsonText | undefined {
  const prefix = inputs?.get('filename_prefix');
  return prefix?.asString() === undefined ? undefined : prefix;
}

/**
 * Whether a node saves results that nobody needs after the job: an output node with a `filename_prefix` and an input for
 * media. Such nodes split the prefix as ComfyUI does (`folder_paths.py`, `get_save_image_path`).
 *
 * Nodes that save models, LoRAs or datasets are no media savers, because those are saved to stay. They are known by what
 * goes into them. Nodes that let the caller choose a folder are none either: they read their prefix differently.
 */
function isMediaSaver(info: JsonText | undefined): boolean {
  if (!info) return false;
  const { inputs, isOutput } = readNodeInfo(info);
  if (!isOutput || inputs.find(({ name }) => name === 'filename_prefix')?.type !== 'STRING')
    return false;
  const savesModel = inputs.some(({ type, isRequired }) =>
    type.split(',').some((one) => MODELS.has(one) || (isRequired && one === 'VAE')),
  );
  return !savesModel && !inputs.some(namesFolder) && takesMedia(inputs);
}

/** A text counts when it is what the node saves, not when it is a setting of a node that saves something unknown. */
function takesMedia(inputs: readonly InputInfo[]): boolean {
  const types = inputs.flatMap(({ type }) => type.split(','));
  if (types.some((type) => MEDIA.test(type))) return true;
  const isText = (input: InputInfo) =>
    input.type === 'STRING' && (hasOption(input, 'forceInput') || hasOption(input, 'multiline'));
  return types.every((type) => WIDGETS.has(type)) && inputs.some(isText);
}

/** `output_path`, `folder_name`, `custom_path`, ... */
const namesFolder = ({ name, type }: InputInfo) =>
  (type === 'STRING' || type === 'COMBO') &&
  /(?:^|_)(?:folder|path|dir|directory)(?:_|$)/i.test(name);

const MEDIA =
  /^(?:IMAGE|MASK|VIDEO|AUDIO|LATENT|SVG|MESH|VOXEL|SPLAT|POINT_CLOUD|POSE_KEYPOINT|FILE_3D(?:_\w+)?)$/;

/** A VAE counts only when it is required: nodes that save media may take one to decode latents with. */
const MODELS: ReadonlySet<string> = new Set([
  'MODEL',
  'CLIP',
  'CLIP_VISION',
  'CONDITIONING',
  'CONTROL_NET',
  'LORA_MODEL',
  'STYLE_MODEL',
  'UPSCALE_MODEL',
]);

const WIDGETS: ReadonlySet<string> = new Set(['STRING', 'INT', 'FLOAT', 'BOOLEAN', 'COMBO']);
