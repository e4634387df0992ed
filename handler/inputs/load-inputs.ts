import { extname, posix } from 'node:path';
import mime from 'mime';
import type { LimitFunction } from 'p-limit';
import type { ComfyFile } from '../../lib/comfy/backend.ts';
import type { Credential } from '../../lib/download/credentials.ts';
import type { Downloader } from '../../lib/download/downloader.ts';
import { describeError } from '../../lib/errors.ts';
import { LongString } from '../../lib/long-strings.ts';
import { mediaTypeOf } from '../../lib/media-type.ts';
import type { SpareBuffers } from '../../lib/spare-buffers.ts';
import type { JobScope } from '../job-scope.ts';
import { storedName } from './input-names.ts';
import { problemOfName, type InputFile } from '../request/input-file.ts';
import type { InputImage } from '../request/job-input.ts';
import { checkInput, decodeContent, type ImageLimits, type InputContent } from './input-content.ts';
import { isUrl, type ExpectedKind, type InputLink } from './input-links.ts';

/** A file that a job wants to have in ComfyUI's input folder. */
export interface RequestedInput {
  /** The name used in messages. */
  readonly label: string;
  /** Undefined for a URL in the workflow: that file gets its name from its content. */
  readonly name?: string;
  readonly subfolder: string;
  readonly source:
    | { readonly kind: 'base64'; readonly text: string | LongString }
    | { readonly kind: 'url'; readonly url: string };
  readonly expected: ExpectedKind;
  /** Set for a mask: the image it belongs to. */
  readonly maskOf?: ComfyFile;
  /** Set for a URL in the workflow: where it stands. */
  readonly link?: InputLink;
}

/** An input whose bytes are here and checked. */
export interface LoadedInput extends RequestedInput {
  readonly name: string;
  /** Path within ComfyUI's input folder. */
  readonly path: string;
  readonly content: InputContent;
}

/** An input that cannot be used, and why. */
export interface InputProblem {
  readonly problem: string;
}

/** One entry of `images`. Clients match on these texts. `url` is used when `image` is missing or null. */
export function requestedImage({ name, image, url }: InputImage): RequestedInput | InputProblem {
  const label = typeof name === 'string' ? name : JSON.stringify(name);
  const unexpected = (text: string) => ({
    problem: `Unexpected error uploading ${label}: ${text}`,
  });
  if (typeof name !== 'string' || name === '') {
    return unexpected(`Expected name to be a non-empty string, got ${label}`);
  }
  const request = { label, ...storedName(name), expected: 'image' } as const;
  const byUrl = isMissing(image) && !isMissing(url);
  const sent = byUrl ? url : image;
  if (sent instanceof LongString) return { ...request, source: { kind: 'base64', text: sent } };
  if (typeof sent !== 'string') {
    const expectation = byUrl ? 'url to be a URL' : 'image to be a base64 string';
    const kind = Array.isArray(sent) ? 'an array' : `a ${typeof sent}`;
    return unexpected(`Expected ${expectation}, got ${sent === null ? 'null' : kind}`);
  }
  if (!byUrl && !isUrl(sent)) return { ...request, source: { kind: 'base64', text: sent } };
  const steps = [...request.subfolder.split('/').filter((step) => step !== ''), request.name];
  const problem = steps.map(problemOfName).find((found) => found !== undefined);
  const subject = steps.length > 1 ? 'Each step of the name' : 'The name';
  if (problem !== undefined) return unexpected(`${subject} ${problem}`);
  return { ...request, source: { kind: 'url', url: sent } };
}

const isMissing = (value: unknown) => value === undefined || value === null;

/** One entry of `files`; its schema has been checked. */
export function requestedFile(file: InputFile): RequestedInput {
  const { name, subfolder, data = '', url, type, original_ref: original } = file;
  return {
    label: subfolder === '' ? name : `${subfolder}/${name}`,
    name,
    subfolder,
    source: url === undefined ? { kind: 'base64', text: data } : { kind: 'url', url },
    expected: EXPECTED[type],
    ...(original ? { maskOf: original } : {}),
  };
}

const EXPECTED: Readonly<Record<InputFile['type'], ExpectedKind>> = {
  image: 'image',
  mask: 'image',
  video: 'video',
  audio: 'audio',
  '3d': 'file',
  latent: 'file',
  file: 'file',
};

/** A URL in the workflow. */
export function requestedLink(link: InputLink): RequestedInput {
  const { nodeId, classType, inputName, url, subfolder = '', expected } = link;
  const label = `node ${nodeId} (${classType}), input ${inputName}`;
  return { label, subfolder, source: { kind: 'url', url }, expected, link };
}

export interface LoadOptions {
  readonly downloader: Downloader;
  readonly imageLimits: ImageLimits;
  readonly credentials: readonly Credential[];
  readonly strict: boolean;
  /** Bounds the number of parallel downloads. */
  readonly limit: LimitFunction;
  /** Where buffers for decoded files are taken from. */
  readonly spare: SpareBuffers;
  readonly scope: JobScope;
}

/**
 * Decodes or downloads all files and checks them. Every file is tried, so that the caller learns of all problems at once.
 * A URL that is used several times is downloaded once.
 * @returns files and problems, in the order of `requests`.
 */
export function loadInputs(
  requests: readonly (RequestedInput | InputProblem)[],
  { downloader, imageLimits, credentials, strict, limit, spare, scope }: LoadOptions,
): Promise<(LoadedInput | InputProblem)[]> {
  const downloads = new Map<string, Promise<InputContent>>();
  const { newScratchPath: newPath, signal } = scope;
  const download = (url: string) => {
    const started = downloads.get(url);
    if (started) return started;
    const file = downloader.download(url, { newPath, credentials, signal });
    const content = file.then(({ path, digest, ...rest }) => {
      return { ...rest, pathOrBytes: path, digest: () => digest };
    });
    downloads.set(url, content);
    return content;
  };

  const load = async (request: RequestedInput): Promise<LoadedInput | InputProblem> => {
    const { label, source, expected, subfolder } = request;
    const isUrlSource = source.kind === 'url';
    try {
      const content = isUrlSource
        ? await download(source.url)
        : decodeContent(source.text, request.name ?? '', spare);
      const refusal = await checkInput(content, { imageLimits, expected, strict });
      if (refusal !== undefined) return { problem: `Error checking ${label}: ${refusal}` };
      const name = request.name ?? nameByContent(content);
      return { ...request, name, path: posix.join(subfolder, name), content };
    } catch (error) {
      const action = isUrlSource ? 'downloading' : 'decoding base64 for';
      return { problem: `Error ${action} ${label}: ${describeError(error)}` };
    }
  };
  return Promise.all(
    requests.map(async (request) =>
      'problem' in request ? request : await limit(() => load(request)),
    ),
  );
}

/**
 * The same bytes get the same name in every job, so that ComfyUI's cache finds them. The extension is the server's if it
 * agrees with the media type, else the usual one of that type: loaders choose by extension.
 */
function nameByContent({ digest, filename = '', mediaType }: InputContent): string {
  const ownExtension = extname(filename).toLowerCase();
  const isSafe = /^\.[a-z0-9]{1,16}$/.test(ownExtension);
  const isMedia = /^(?:image|video|audio|model)\//.test(mediaType);
  const agrees = !isMedia || mediaTypeOf(filename).split('/')[0] === mediaType.split('/')[0];
  const usual = USUAL_EXTENSIONS[mediaType] ?? mime.getExtension(mediaType);
  const usualExtension = usual === null ? '' : `.${usual}`;
  return digest().slice(0, 32) + (isSafe && agrees ? ownExtension : usualExtension);
}

/** Media types for which the registry's first extension is an unusual one. */
const USUAL_EXTENSIONS: Readonly<Record<string, string>> = {
  'audio/mpeg': 'mp3',
  'audio/mp4': 'm4a',
  'audio/x-m4a': 'm4a',
  'image/jpeg': 'jpg',
  'video/quicktime': 'mov',
};
