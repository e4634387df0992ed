import { posix } from 'node:path';
import type { JsonText } from '../json.ts';
import { readGraph } from './graph.ts';

/**
 * Makes every node that saves results save them below `folder` (`jobs/17`) in the output folder, by writing the folder in
 * front of the node's `filename_prefix`. Every other character stays.
 * @returns the same workflow object if no node can be changed.
 */
export function withOwnPrefix(workflow: JsonText, folder: string): JsonText {
  const edits: [JsonText, string][] = [];
  for (const { classType = '', inputs } of readGraph(workflow).values()) {
    const input = inputs?.get('filename_prefix');
    const prefix = input?.asString();
    if (!input || prefix === undefined || !SAVERS.has(classType)) continue;
    // ComfyUI refuses a prefix that leads out of the output folder. One that names no file would get another meaning.
    const path = posix.normalize(prefix.replaceAll('\\', '/'));
    if (/^(?:\/|[a-z]:|\.\.(?:\/|$)|\.?\/?$)/i.test(path)) continue;
    edits.push([input, `"${folder}/${input.text.slice(1)}`]);
  }
  return edits.length === 0 ? workflow : workflow.replacingAll(edits);
}

/** The subfolder that ComfyUI would have reported without {@link withOwnPrefix}. */
export function withoutOwnPrefix(subfolder: string, folder: string): string {
  if (subfolder === folder) return '';
  return subfolder.startsWith(`${folder}/`) ? subfolder.slice(folder.length + 1) : subfolder;
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
