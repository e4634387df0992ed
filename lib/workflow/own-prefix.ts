import { posix } from 'node:path';
import type { JsonText } from '../json.ts';
import { readGraph, type GraphNode } from './graph.ts';

/**
 * Makes every node that saves results save them below `folder` (`jobs/17`), within the output folder. What stands in
 * `filename_prefix` goes on behind it, and every other character stays.
 * @returns the very same workflow when none of its nodes can be told so.
 */
export function withOwnPrefix(workflow: JsonText, folder: string): JsonText {
  const prefixes = [...readGraph(workflow).values()].flatMap((node) => prefixOf(node) ?? []);
  if (prefixes.length === 0) return workflow;
  return workflow.replacingAll(
    prefixes.map((prefix) => [prefix, `"${folder}/${prefix.text.slice(1)}`] as const),
  );
}

/** The subfolder that would have been reported without {@link withOwnPrefix}. */
export function withoutOwnPrefix(subfolder: string, folder: string): string {
  if (subfolder === folder) return '';
  return subfolder.startsWith(`${folder}/`) ? subfolder.slice(folder.length + 1) : subfolder;
}

/** The literal prefix of a node that saves results, unless it leads out of the output folder: ComfyUI refuses those. */
function prefixOf({ classType = '', inputs }: GraphNode): JsonText | undefined {
  const prefix = inputs?.get('filename_prefix');
  if (!SAVERS.has(classType) || prefix?.kind !== 'string') return undefined;
  return staysInside(String(prefix.value())) ? prefix : undefined;
}

/** One that names no file at all has a meaning of its own, which a folder in front of it would change. */
function staysInside(prefix: string): boolean {
  const path = posix.normalize(prefix.replaceAll('\\', '/'));
  return !/^(?:\/|[a-z]:|\.\.(?:\/|$)|\.?\/?$)/i.test(path);
}

/**
 * Nodes that split their prefix as ComfyUI does (`folder_paths.py`, `get_save_image_path`) and whose files are results.
 * Nodes that save models are left out, for those are saved to stay; so are nodes that are not known, which may read
 * their prefix differently.
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
