import type { ComfyBackend } from '../../lib/comfy/backend.ts';
import type { JsonText } from '../../lib/json.ts';
import { readGraph } from '../../lib/workflow/graph.ts';
import { hasOption, readNodeInfo } from '../../lib/workflow/node-info.ts';

/** The kind a file should have; `file` means any kind. */
export type ExpectedKind = 'image' | 'video' | 'audio' | 'file';

/** How a loader node refers to a file: by its name in the input folder, or by its path on disk. */
interface Loader {
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

type UrlInput = Pick<InputLink, 'nodeId' | 'classType' | 'inputName' | 'url'>;

const keyOf = ({ classType, inputName }: UrlInput): string => `${classType}.${inputName}`;

/**
 * The URLs in a workflow that stand for input files, in the workflow's order. A URL at any other input is left alone:
 * some nodes download by themselves.
 */
export async function findLinks(
  workflow: JsonText,
  comfy: Pick<ComfyBackend, 'describeNodes'>,
  signal: AbortSignal,
): Promise<InputLink[]> {
  const found: UrlInput[] = [];
  for (const { nodeId, classType = '', inputs } of readGraph(workflow).values()) {
    for (const [inputName, value] of inputs ?? []) {
      const url = value.asString()?.trim();
      if (url !== undefined && isUrl(url)) found.push({ nodeId, classType, inputName, url });
    }
  }
  const unknown = found.filter((input) => !LOADERS[keyOf(input)]);
  const uploads = unknown.length > 0 ? await findUploads(unknown, comfy, signal) : undefined;
  return found.flatMap((input) => {
    const loader = LOADERS[keyOf(input)] ?? uploads?.get(keyOf(input));
    return loader ? [{ ...input, ...loader }] : [];
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

/** The inputs for which the editor shows an upload button. */
async function findUploads(
  inputs: readonly UrlInput[],
  comfy: Pick<ComfyBackend, 'describeNodes'>,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Loader>> {
  const classTypes = inputs.map(({ classType }) => classType);
  const infos = await comfy.describeNodes(classTypes, { signal });
  const loaders = new Map<string, Loader>();
  for (const input of inputs) {
    const info = infos?.get(input.classType);
    const spec = info && readNodeInfo(info).inputs.find(({ name }) => name === input.inputName);
    const upload = spec && UPLOAD_OPTIONS.find(([option]) => hasOption(spec, option));
    if (upload) loaders.set(keyOf(input), upload[1]);
  }
  return loaders;
}
