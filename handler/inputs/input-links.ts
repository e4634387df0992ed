import type { ComfyBackend } from '../../lib/comfy/backend.ts';
import type { JsonText } from '../../lib/json.ts';
import { declarationOf } from '../../lib/workflow/check/dynamic-inputs.ts';
import { readGraph, type GraphNode } from '../../lib/workflow/graph.ts';

/** The kind a file should have; `file` means any kind. */
export type ExpectedKind = 'image' | 'video' | 'audio' | 'file';

/** How a loader node refers to a file: by its name in the input folder, or by its path on disk. */
export interface Loader {
  readonly expected: ExpectedKind;
  readonly by: 'name' | 'path';
  /** The folder within the input folder that the loader reads from. */
  readonly subfolder?: string;
}

/** A URL in a workflow, in the place of a file name. */
export interface InputLink extends Loader {
  readonly nodeId: string;
  readonly classType: string;
  readonly inputName: string;
  readonly url: string;
}

/** `http(s)://` or `s3://`; tells a URL from base64 and from a file name. */
export function isUrl(text: string): boolean {
  return /^(?:https?|s3):\/\//i.test(text);
}

const byName = (expected: ExpectedKind): Loader => ({ expected, by: 'name' });
const byPath = (expected: ExpectedKind): Loader => ({ expected, by: 'path' });

/** Known loaders, by class and input. For other classes ComfyUI is asked. */
const LOADERS: Readonly<Record<string, Loader>> = {
  'LoadImage.image': byName('image'),
  'LoadImageMask.image': byName('image'),
  'LoadVideo.file': byName('video'),
  'LoadAudio.audio': byName('audio'),
  'LoadLatent.latent': byName('file'),
  'Load3D.model_file': { ...byName('file'), subfolder: '3d' },
  'Load3DAnimation.model_file': { ...byName('file'), subfolder: '3d' },
  'VHS_LoadVideo.video': byName('video'),
  'VHS_LoadVideoFFmpeg.video': byName('video'),
  'VHS_LoadVideoPath.video': byPath('video'),
  'VHS_LoadVideoFFmpegPath.video': byPath('video'),
  'VHS_LoadImagePath.image': byPath('image'),
  'VHS_LoadAudio.audio_file': byPath('audio'),
  'VHS_LoadAudioUpload.audio': byName('audio'),
};

/** Options in `/object_info` that make the editor show an upload button at an input. */
const UPLOAD_OPTIONS: readonly (readonly [option: string, loader: Loader])[] = [
  ['image_upload', byName('image')],
  ['video_upload', byName('video')],
  ['audio_upload', byName('audio')],
  ['file_upload', byName('file')],
];

/** How a class loads the file that an input names; undefined if it is not known to load one. */
export function loaderOf(
  classType: string | undefined,
  inputName: string,
  declaration?: JsonText,
): Loader | undefined {
  const options = declaration?.items()[1];
  const uploads = UPLOAD_OPTIONS.find(([option]) => options?.get(option)?.value() === true);
  return LOADERS[`${classType}.${inputName}`] ?? uploads?.[1];
}

/**
 * The URLs in a workflow that stand for input files, in the workflow's order. A URL at any other input is left alone:
 * some nodes download by themselves.
 */
export async function findLinks(
  workflow: JsonText,
  comfy: Pick<ComfyBackend, 'describeNodes'>,
  signal: AbortSignal,
): Promise<InputLink[]> {
  const found: { readonly node: GraphNode; readonly inputName: string; readonly url: string }[] =
    [];
  for (const node of readGraph(workflow).values()) {
    for (const [inputName, value] of node.inputs ?? []) {
      const url = value.asString()?.trim();
      if (url !== undefined && isUrl(url)) found.push({ node, inputName, url });
    }
  }
  const unknown = found.filter(({ node, inputName }) => !loaderOf(node.classType, inputName));
  const classTypes = unknown.map(({ node }) => node.classType ?? '');
  const infos = unknown.length > 0 ? await comfy.describeNodes(classTypes, { signal }) : undefined;
  return found.flatMap(({ node, inputName, url }) => {
    const { nodeId, classType = '' } = node;
    const loader = loaderOf(classType, inputName, declarationOf(node, inputName, infos));
    return loader ? [{ nodeId, classType, inputName, url, ...loader }] : [];
  });
}

/** The workflow with `value` in the place of the URL. */
export function replaceLink(
  workflow: JsonText,
  { nodeId, inputName }: InputLink,
  value: string,
): JsonText {
  const input = workflow.get(nodeId)?.get('inputs')?.get(inputName);
  return input ? workflow.replacing(input, JSON.stringify(value)) : workflow;
}
