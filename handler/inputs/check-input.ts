import type { Config } from '../../lib/config.ts';
import { HEAD_BYTES, maybeMediaTypeOf } from '../../lib/media-type.ts';
import { toBlob, type InputContent } from './input-content.ts';
import type { ExpectedKind } from './input-links.ts';

/** The largest input image that is accepted. */
export interface ImageLimits {
  readonly maxBytes: number;
  /** Width, and height, in pixels. */
  readonly maxEdge: number;
  /** Pixels of one frame. */
  readonly maxPixels: number;
  /** Pixels of all frames together. */
  readonly maxAnimationPixels: number;
}

export function imageLimits(config: Config): ImageLimits {
  return {
    maxBytes: config.INPUT_MAX_IMAGE_BYTES,
    maxEdge: config.INPUT_MAX_IMAGE_EDGE,
    maxPixels: config.INPUT_MAX_IMAGE_PIXELS,
    maxAnimationPixels: config.INPUT_MAX_ANIMATION_PIXELS,
  };
}

/**
 * Checks a file before ComfyUI gets it. Only the header of an image is read: it tells how much memory the decoded image
 * would take. A file that is not recognised as an image is passed on unless `strict`, because callers send videos and
 * latents in `images`.
 * @returns why the file is refused, or undefined.
 */
export async function checkInput(
  content: InputContent,
  options: {
    readonly imageLimits: ImageLimits;
    readonly expected: ExpectedKind;
    readonly strict: boolean;
  },
): Promise<string | undefined> {
  const { imageLimits: limits, expected, strict } = options;
  const isInMemory = typeof content.at !== 'string';
  const head = isInMemory
    ? content.at.subarray(0, HEAD_BYTES)
    : new Uint8Array(await (await toBlob(content)).slice(0, HEAD_BYTES).arrayBuffer());
  const recognised = await maybeMediaTypeOf(head);
  if (recognised?.startsWith('image/')) return await checkImage(content, limits);
  // A downloaded text is a login page, or an error page that came with status 200.
  const isText = /^(?:text\/|application\/(?:json|xhtml\+xml)$)/.test(content.mediaType);
  if (recognised === undefined && expected !== 'file' && !isInMemory && isText) {
    return `what is there is ${content.mediaType}, not ${NOUNS[expected]}; is the URL that of a web page?`;
  }
  if (!strict || expected !== 'image') return undefined;
  return `it is ${recognised ?? 'nothing known'}, not an image, and the job asks for strictness; files of other kinds go into "files"`;
}

const NOUNS = { image: 'an image', video: 'a video', audio: 'sound' } as const;

async function checkImage(
  { at, bytes }: InputContent,
  limits: ImageLimits,
): Promise<string | undefined> {
  if (bytes > limits.maxBytes) {
    return `the image has ${bytes} bytes, and at most ${limits.maxBytes} are taken (INPUT_MAX_IMAGE_BYTES)`;
  }
  const { default: sharp } = await import('sharp');
  // sharp cannot read every image, and some are broken: ComfyUI has the better error message for those.
  const header = await sharp(at, { limitInputPixels: false })
    .metadata()
    .catch(() => undefined);
  if (!header) return undefined;
  const { width, height, pages: frames = 1 } = header;
  const size = `${width} x ${height} pixels`;
  if (Math.max(width, height) > limits.maxEdge) {
    return `the image has ${size}, and at most ${limits.maxEdge} in each direction are taken (INPUT_MAX_IMAGE_EDGE)`;
  }
  if (width * height > limits.maxPixels) {
    return `the image has ${size}, ${width * height} in all, and at most ${limits.maxPixels} are taken (INPUT_MAX_IMAGE_PIXELS)`;
  }
  if (width * height * frames <= limits.maxAnimationPixels) return undefined;
  return `the animation has ${frames} frames of ${size}, ${width * height * frames} in all, and at most ${limits.maxAnimationPixels} are taken (INPUT_MAX_ANIMATION_PIXELS)`;
}
