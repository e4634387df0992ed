import { extname } from 'node:path';
import mime from 'mime';
import type { LimitFunction } from 'p-limit';
import { describeError } from '../../lib/errors.ts';
import { mediaTypeOf } from '../../lib/media-type.ts';
import { type ContentFetcher, decodeContent, type InputContent } from './input-content.ts';
import { type ImageLimits, lookAt } from './input-look.ts';
import type { Wanted, WantedInput } from './input-wanted.ts';

/** A file that is here, and may go to ComfyUI. */
export interface ObtainedInput extends WantedInput {
  readonly name: string;
  readonly content: InputContent;
}

/** What could be had, or why not; in the order it was sent. */
export type Obtained = ObtainedInput | { readonly problem: string };

export interface ObtainOptions {
  readonly fetcher: ContentFetcher;
  readonly limits: ImageLimits;
  readonly strict: boolean;
  /** Bounds what is fetched side by side. */
  readonly limit: LimitFunction;
}

/** Decodes or fetches everything and looks at it. All are tried, so that a caller learns of all problems at once. */
export function obtainInputs(
  wanted: readonly Wanted[],
  options: ObtainOptions,
): Promise<Obtained[]> {
  return Promise.all(wanted.map(async (one) => obtainInTurn(one, options)));
}

async function obtainInTurn(wanted: Wanted, options: ObtainOptions): Promise<Obtained> {
  return 'problem' in wanted ? wanted : await options.limit(() => obtain(wanted, options));
}

async function obtain(
  wanted: WantedInput,
  { fetcher, limits, strict }: ObtainOptions,
): Promise<Obtained> {
  const { shown, source, expected, name } = wanted;
  const doing = source.kind === 'url' ? 'downloading' : 'decoding base64 for';
  try {
    const content =
      source.kind === 'url'
        ? await fetcher.fetch(source.url)
        : decodeContent(source.text, name ?? '');
    const refusal = await lookAt(content, { limits, expected, strict });
    if (refusal !== undefined) return { problem: `Error checking ${shown}: ${refusal}` };
    return { ...wanted, name: name ?? nameByContent(content), content };
  } catch (error) {
    return { problem: `Error ${doing} ${shown}: ${describeError(error)}` };
  }
}

/** The same bytes have the same name in every job, so that ComfyUI's cache knows them again. */
function nameByContent(content: InputContent): string {
  return `${content.digest.slice(0, 32)}${extensionOf(content)}`;
}

/** As the server names it, if that agrees with what it is; loaders go by the extension. */
function extensionOf({ filename = '', mediaType }: InputContent): string {
  const own = extname(filename).toLowerCase();
  const isSafe = /^\.[a-z0-9]{1,16}$/.test(own);
  const told = mediaTypeOf(filename);
  if (isSafe && (told.split('/')[0] === mediaType.split('/')[0] || !isMedia(mediaType))) return own;
  const usual = USUAL[mediaType] ?? mime.getExtension(mediaType);
  return usual === null ? '' : `.${usual}`;
}

const isMedia = (mediaType: string) => /^(?:image|video|audio|model)\//.test(mediaType);

/** Where the registry's first choice is a rare one. */
const USUAL: Readonly<Record<string, string>> = {
  'audio/mpeg': 'mp3',
  'audio/mp4': 'm4a',
  'audio/x-m4a': 'm4a',
  'image/jpeg': 'jpg',
  'video/quicktime': 'mov',
};
