import { posix } from 'node:path';
import type { JsonText } from '../json.ts';
import { readGraph, type GraphNode } from './graph.ts';

/**
 * Makes every node that saves results save them below `folder` (`jobs/17`) in the output folder, by writing the folder in
 * front of the node's `filename_prefix`. Every other character stays.
 * @returns the same workflow object if no node can be changed.
 */
export function withOwnPrefix(workflow: JsonText, folder: string): JsonText {
  const prefixes = [...readGraph(workflow).values()].flatMap((node) => maybePrefix(node) ?? []);
  if (prefixes.length === 0) return workflow;
  return workflow.replacingAll(
    prefixes.map((prefix) => [prefix, `"${folder}/${prefix.text.slice(1)}`] as const),
  );
}

/** The subfolder that ComfyUI would have reported without {@link withOwnPrefix}. */
export function withoutOwnPrefix(subfolder: string, folder: string): string {
  if (subfolder === folder) return '';
  return subfolder.startsWith(`${folder}/`) ? subfolder.slice(folder.length + 1) : subfolder;
}

/**
 * The literal prefix of a node that saves results. A prefix that leads out of the output folder is left for ComfyUI to
 * refuse. A prefix that names no file is left alone, too: a folder in front would change what it means.
 */
function maybePrefix({ classType = '', inputs }: GraphNode): JsonText | undefined {
  const input = inputs?.get('filename_prefix');
  const prefix = input?.asString();
  if (!SAVERS.has(classType) || prefix === undefined) return undefined;
  const path = posix.normalize(prefix.replaceAll('\\', '/'));
  return /^(?:\/|[a-z]:|\.\.(?:\/|$)|\.?\/?$)/i.test(path) ? undefined : input;
}

/**
 * Node classes that split their prefix as ComfyUI does (`get_save_image_path` in `folder_paths.py`) and whose files are
 * results. Nodes that save models are not here, because models are saved to stay. Unknown nodes are not here either: they
 * may read their prefix differently.
 */
const SAVERS: ReadonlySet<string> = new Set([
  'SaveImage',
  'SaveAnimatedWEBP',
  'SaveAnimatedPNG',
  'SaveSVGNode',
  'SaveVideo',
  'SaveWEBM',
  'SaveAudio',
  'SaveAudioMP3',
  'SaveAudioOpus',
  'SaveGLB',
  'SaveLatent',
  'VHS_VideoCombine',
]);
