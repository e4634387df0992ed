import type { ComfyFile } from '../../lib/comfy/backend.ts';
import { isUrl, type InputSource } from './input-content.ts';
import { problemOfName, type InputFile } from '../request/input-file.ts';
import type { InputLink } from './input-links.ts';
import type { Expected } from './input-look.ts';
import type { InputImage } from '../request/job-input.ts';

/** A file that a job wants in ComfyUI's input folder. */
export interface WantedInput {
  /** How messages call it. */
  readonly shown: string;
  /** Undefined for a file named only by a URL in the workflow: it gets a name of its content. */
  readonly name?: string;
  readonly subfolder: string;
  readonly source: InputSource;
  readonly expected: Expected;
  /** The image this is the mask of. */
  readonly maskOf?: ComfyFile;
  /** Where in the workflow the URL stands. */
  readonly link?: InputLink;
}

/** What is wanted, or why it cannot be; in the order it was sent. */
export type Wanted = WantedInput | { readonly problem: string };

/** One of `images`. The texts are those clients know; `url` counts when `image` is left out or null. */
export function wantedImage({ name, image, url }: InputImage): Wanted {
  const shown = typeof name === 'string' ? name : JSON.stringify(name);
  const unexpected = (what: string) => ({
    problem: `Unexpected error uploading ${shown}: ${what}`,
  });
  if (typeof name !== 'string' || name === '') {
    return unexpected(`Expected name to be a non-empty string, got ${shown}`);
  }
  const byUrl = (image ?? undefined) === undefined && (url ?? undefined) !== undefined;
  const sent = byUrl ? url : image;
  if (typeof sent !== 'string') {
    const what = byUrl ? 'url to be a URL' : 'image to be a base64 string';
    return unexpected(`Expected ${what}, got ${kindOf(sent)}`);
  }
  const source = byUrl || isUrl(sent) ? urlSource(sent) : base64Source(sent);
  const problem = source.kind === 'url' ? problemOfName(name) : undefined;
  if (problem !== undefined) return unexpected(`The name ${problem}`);
  return { shown, name, subfolder: '', source, expected: 'image' };
}

/** One of `files`, whose form has been checked. */
export function wantedFile({
  name,
  subfolder,
  data,
  url,
  type,
  original_ref,
}: InputFile): WantedInput {
  return {
    shown: subfolder === '' ? name : `${subfolder}/${name}`,
    name,
    subfolder,
    source: url === undefined ? base64Source(data ?? '') : urlSource(url),
    expected: EXPECTED[type],
    ...(original_ref ? { maskOf: original_ref } : {}),
  };
}

/** A URL in the workflow. */
export function wantedLink(link: InputLink): WantedInput {
  const { nodeId, classType, inputName, url, subfolder = '', expected } = link;
  const shown = `node ${nodeId} (${classType}), input ${inputName}`;
  return { shown, subfolder, source: urlSource(url), expected, link };
}

const EXPECTED: Readonly<Record<InputFile['type'], Expected>> = {
  image: 'image',
  mask: 'image',
  video: 'video',
  audio: 'audio',
  '3d': 'file',
  latent: 'file',
  file: 'file',
};

const urlSource = (url: string): InputSource => ({ kind: 'url', url });
const base64Source = (text: string): InputSource => ({ kind: 'base64', text });

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`;
}
