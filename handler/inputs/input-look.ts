import { HEAD_BYTES, maybeMediaTypeOf } from '../../lib/media-type.ts';
import { type InputContent, toBlob } from './input-content.ts';

/** What an input image may be at most. */
export interface ImageLimits {
  readonly maxBytes: number;
  /** Pixels in width, and in height. */
  readonly maxEdge: number;
  /** Of one frame. */
  readonly maxPixels: number;
  /** Of all frames together. */
  readonly maxAnimationPixels: number;
}

/** What a file is expected to be; `file` may be anything. */
export type Expected = 'image' | 'video' | 'audio' | 'file';

export interface LookOptions {
  readonly limits: ImageLimits;
  readonly expected: Expected;
  /** What is not recognised as an image where one is expected is refused. */
  readonly strict: boolean;
}

/**
 * Looks at a file before ComfyUI has to. Of an image only the header is read: what it would become in memory is told there.
 * What is no image known here goes on untouched unless `strict`: callers send videos and latents as images.
 * @returns why it is refused, or undefined.
 */
export async function lookAt(
  content: InputContent,
  options: LookOptions,
): Promise<string | undefined> {
  const recognised = await maybeMediaTypeOf(await headOf(content));
  if (recognised?.startsWith('image/')) return await lookAtImage(content, options);
  const { expected, strict } = options;
  if (recognised === undefined && expected !== 'file' && isPage(content)) {
    return `what is there is ${content.mediaType}, not ${NOUNS[expected]}; is the URL that of a web page?`;
  }
  if (!strict || expected !== 'image') return undefined;
  return `it is ${recognised ?? 'nothing known'}, not an image, and the job asks for strictness; files of other kinds go into "files"`;
}

const NOUNS = { image: 'an image', video: 'a video', audio: 'sound' } as const;

/** Fetched, and text: a login page, or an error that came with 200. */
function isPage({ at, mediaType }: InputContent): boolean {
  return typeof at === 'string' && /^(?:text\/|application\/(?:json|xhtml\+xml)$)/.test(mediaType);
}

async function lookAtImage(
  content: InputContent,
  { limits }: LookOptions,
): Promise<string | undefined> {
  if (content.bytes > limits.maxBytes) {
    return `the image has ${content.bytes} bytes, and at most ${limits.maxBytes} are taken (INPUT_MAX_IMAGE_BYTES)`;
  }
  const size = await maybeSize(content);
  return size && problemOfSize(size, limits);
}

interface Size {
  readonly width: number;
  readonly height: number;
  readonly frames: number;
}

/** Undefined for kinds of images sharp cannot read, and for broken ones: ComfyUI will say more about them. */
async function maybeSize({ at }: InputContent): Promise<Size | undefined> {
  const { default: sharp } = await import('sharp');
  try {
    const image = sharp(at, { limitInputPixels: false });
    const { width, height, pages: frames = 1 } = await image.metadata();
    return { width, height, frames };
  } catch {
    return undefined;
  }
}

function problemOfSize({ width, height, frames }: Size, limits: ImageLimits): string | undefined {
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

async function headOf(content: InputContent): Promise<Uint8Array> {
  if (typeof content.at !== 'string') return content.at.subarray(0, HEAD_BYTES);
  const blob = await toBlob(content);
  return new Uint8Array(await blob.slice(0, HEAD_BYTES).arrayBuffer());
}
