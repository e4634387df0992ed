import type { ComfyBackend } from '../../lib/comfy/backend.ts';
import type { JsonText } from '../../lib/json.ts';
import { readGraph, type Graph } from '../../lib/workflow/graph.ts';
import { hasOption, readNodeInfo } from '../../lib/workflow/node-info.ts';
import { isUrl } from './input-content.ts';
import type { Expected } from './input-look.ts';

/** How a loader names a file: as `name` in the input folder, or by its path on disk. */
interface Loader {
  readonly expected: Expected;
  readonly by: 'name' | 'path';
  /** Where within the input folder it looks. */
  readonly subfolder?: string;
}

/** A URL that stands where a workflow names a file. */
export interface InputLink extends Loader {
  readonly nodeId: string;
  readonly classType: string;
  readonly inputName: string;
  readonly url: string;
}

const named = (expected: Expected, subfolder?: string): Loader =>
  subfolder === undefined ? { expected, by: 'name' } : { expected, by: 'name', subfolder };
const byPath = (expected: Expected): Loader => ({ expected, by: 'path' });

/** Loaders by class and input. What others take is asked of ComfyUI. */
const LOADERS: Readonly<Record<string, Loader>> = {
  'LoadImage.image': named('image'),
  'LoadImageMask.image': named('image'),
  'LoadVideo.file': named('video'),
  'LoadAudio.audio': named('audio'),
  'LoadLatent.latent': named('file'),
  'Load3D.model_file': named('file', '3d'),
  'Load3DAnimation.model_file': named('file', '3d'),
  'VHS_LoadVideo.video': named('video'),
  'VHS_LoadVideoFFmpeg.video': named('video'),
  'VHS_LoadVideoPath.video': byPath('video'),
  'VHS_LoadVideoFFmpegPath.video': byPath('video'),
  'VHS_LoadImagePath.image': byPath('image'),
  'VHS_LoadAudio.audio_file': byPath('audio'),
  'VHS_LoadAudioUpload.audio': named('audio'),
};

/** By what `/object_info` says of inputs for which the editor shows an upload button. */
const UPLOADS: readonly (readonly [option: string, loader: Loader])[] = [
  ['image_upload', named('image')],
  ['video_upload', named('video')],
  ['audio_upload', named('audio')],
  ['file_upload', named('file')],
];

/**
 * The URLs in a workflow that stand for input files, in its order. A URL anywhere else is a text like any other: some
 * nodes fetch for themselves.
 */
export async function findLinks(
  workflow: JsonText,
  comfy: Pick<ComfyBackend, 'describeNodes'>,
  signal: AbortSignal,
): Promise<InputLink[]> {
  const texts = urlInputs(readGraph(workflow));
  const unknown = texts.filter((text) => !LOADERS[keyOf(text)]);
  const uploads = unknown.length > 0 ? await uploadInputs(unknown, comfy, signal) : undefined;
  return texts.flatMap((text) => {
    const loader = LOADERS[keyOf(text)] ?? uploads?.get(keyOf(text));
    return loader ? [{ ...text, ...loader }] : [];
  });
}

/** The workflow with `value` at the place of the URL. */
export function replaceLink(
  workflow: JsonText,
  { nodeId, inputName }: InputLink,
  value: string,
): JsonText {
  const input = workflow.get(nodeId)?.get('inputs')?.get(inputName);
  return input ? workflow.replacing(input, JSON.stringify(value)) : workflow;
}

type UrlInput = Pick<InputLink, 'nodeId' | 'classType' | 'inputName' | 'url'>;

const keyOf = ({ classType, inputName }: UrlInput): string => `${classType}.${inputName}`;

function urlInputs(graph: Graph): UrlInput[] {
  return [...graph.values()].flatMap(({ nodeId, classType = '', inputs }) =>
    [...(inputs ?? [])].flatMap(([inputName, value]) => {
      const url = value.asString()?.trim();
      return url !== undefined && isUrl(url) ? [{ nodeId, classType, inputName, url }] : [];
    }),
  );
}

async function uploadInputs(
  texts: readonly UrlInput[],
  comfy: Pick<ComfyBackend, 'describeNodes'>,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Loader>> {
  const infos = await comfy.describeNodes(
    texts.map(({ classType }) => classType),
    { signal },
  );
  const loaders = new Map<string, Loader>();
  for (const text of texts) {
    const info = infos?.get(text.classType);
    const input = info && readNodeInfo(info).inputs.find(({ name }) => name === text.inputName);
    const upload = input && UPLOADS.find(([option]) => hasOption(input, option));
    if (upload) loaders.set(keyOf(text), upload[1]);
  }
  return loaders;
}
