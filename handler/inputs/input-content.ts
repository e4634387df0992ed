import { hash } from 'node:crypto';
import { openAsBlob } from 'node:fs';
import type { Config } from '../../lib/config.ts';
import type { LongString } from '../../lib/long-strings.ts';
import { HEAD_BYTES, maybeMediaTypeOf, mediaTypeOf } from '../../lib/media-type.ts';
import { SpareBuffers } from '../../lib/spare-buffers.ts';
import type { ExpectedKind } from './input-links.ts';

/** The bytes of an input: in memory when they came with the job, on disk when they were downloaded. */
export interface InputContent {
  readonly bytes: number;
  /** SHA-256 in hexadecimal digits. For bytes in memory each call computes it. */
  readonly digest: () => string;
  readonly mediaType: string;
  /** The name the server gave the file. */
  readonly filename?: string;
  /** A path, or the bytes themselves. */
  readonly pathOrBytes: string | Buffer<ArrayBuffer>;
}

/**
 * Decodes base64 that came with the job. The media type is the one a data URI declares, else that of `name`.
 * @throws RangeError with a text for people.
 */
export function decodeContent(
  text: string | LongString,
  name: string,
  spare = new SpareBuffers(),
): InputContent {
  const bytes = decodeBase64(text, spare);
  const head =
    typeof text === 'string' ? text.slice(0, 200) : text.bytes.toString('latin1', 0, 200);
  const declared = /^data:([\w.+-]+\/[\w.+-]+)[;,]/.exec(head)?.[1];
  return {
    bytes: bytes.length,
    // Rarely needed. It does not hold the decoded bytes, which are gone when the file is stored.
    digest: () => hash('sha256', decodeBase64(text), 'hex'),
    mediaType: declared ?? mediaTypeOf(name),
    pathOrBytes: bytes,
  };
}

/**
 * Decodes base64 as clients send it: bare or as data URI, with blanks and line breaks, in the standard or the URL-safe
 * alphabet. Anything else is an error that names the position: skipping a stray character would give a broken file.
 * @throws RangeError with a text for people.
 */
export function decodeBase64(
  sent: string | LongString,
  spare = new SpareBuffers(),
): Buffer<ArrayBuffer> {
  if (typeof sent !== 'string')
    return maybeDecode(sent.bytes, spare) ?? decodeBase64(sent.toString());
  const start = sent.indexOf(',') + 1; // like the Python worker: everything before the first comma is dropped
  const text = sent.slice(start).replace(/\s+/g, '');
  // Counted from the end: a regular expression would look at all the megabytes before the padding.
  let digits = text.length;
  while (text[digits - 1] === '=') digits--;
  const padding = text.length - digits;
  const isPadded = padding <= 2 && (digits + padding) % 4 === 0;
  // The URL-safe alphabet is usually sent without padding, the standard one is not.
  const isUnpaddedUrlSafe = padding === 0 && digits % 4 !== 1 && /[-_]/.test(text);
  const bytes = Buffer.from(text, 'base64');
  const isComplete = digits > 0 && bytes.length === Math.floor((digits * 3) / 4);
  if (isComplete && (isPadded || isUnpaddedUrlSafe)) return bytes;
  throw new RangeError(describeProblem(sent, start, digits));
}

/**
 * Decodes padded base64 without blanks, piece by piece. Node decodes strings only, and a string as long as the file would
 * be one more copy of it.
 * @returns undefined for anything else; {@link decodeBase64} then knows what it is.
 */
function maybeDecode(sent: Buffer, spare: SpareBuffers): Buffer<ArrayBuffer> | undefined {
  const start = sent.indexOf(',') + 1;
  let end = sent.length;
  while (end > start && sent.length - end < 2 && sent[end - 1] === PADDING) end--;
  if ((sent.length - start) % 4 !== 0) return undefined;
  const bytes = spare.take(Math.floor(((end - start) * 3) / 4));
  let written = 0;
  for (let at = start; at < end; at += PIECE_DIGITS) {
    const piece = sent.toString('latin1', at, Math.min(at + PIECE_DIGITS, end));
    written += bytes.write(piece, written, 'base64');
  }
  // Characters that are no digits are skipped.
  return written > 0 && written === bytes.length ? bytes : undefined;
}

const PADDING = '='.charCodeAt(0);
/** A multiple of four. V8 gives strings above 128 KB memory pages of their own, which makes them slow. */
const PIECE_DIGITS = 64 * 1024;

function describeProblem(sent: string, start: number, digits: number): string {
  if (/^https?:\/\//i.test(sent))
    return 'Expected base64, got a URL; fetch it first and send its bytes';
  // Padding and blanks may end the text; anywhere before, padding is a stray character too.
  let end = sent.length;
  while (/[=\s]/.test(sent.charAt(end - 1))) end--;
  const stray = sent.slice(start, end).search(/[^A-Za-z0-9+/_\s-]/);
  if (stray >= 0)
    return `Character ${JSON.stringify(sent[start + stray])} at position ${start + stray + 1} of ${sent.length} is not base64`;
  if (digits === 0) return 'Expected base64, got an empty string';
  if (digits % 4 === 1) {
    return `Invalid base64-encoded string: number of data characters (${digits}) cannot be 1 more than a multiple of 4`;
  }
  return `Incorrect padding (the text ends after ${digits} characters; is it cut off?)`;
}

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
  const { pathOrBytes } = content;
  const isDownloaded = typeof pathOrBytes === 'string';
  const head = isDownloaded
    ? new Uint8Array(await (await openAsBlob(pathOrBytes)).slice(0, HEAD_BYTES).arrayBuffer())
    : pathOrBytes.subarray(0, HEAD_BYTES);
  const recognised = await maybeMediaTypeOf(head);
  if (recognised?.startsWith('image/')) return await checkImage(content, limits);
  // A downloaded text is a login page, or an error page that came with status 200.
  const isText = /^(?:text\/|application\/(?:json|xhtml\+xml)$)/.test(content.mediaType);
  if (recognised === undefined && expected !== 'file' && isDownloaded && isText) {
    return `what is there is ${content.mediaType}, not ${NOUNS[expected]}; is the URL that of a web page?`;
  }
  if (!strict || expected !== 'image') return undefined;
  return `it is ${recognised ?? 'nothing known'}, not an image, and the job asks for strictness; files of other kinds go into "files"`;
}

const NOUNS = { image: 'an image', video: 'a video', audio: 'sound' } as const;

async function checkImage(
  { pathOrBytes, bytes }: InputContent,
  limits: ImageLimits,
): Promise<string | undefined> {
  if (bytes > limits.maxBytes) {
    return `the image has ${bytes} bytes, and at most ${limits.maxBytes} are taken (INPUT_MAX_IMAGE_BYTES)`;
  }
  const { default: sharp } = await import('sharp');
  // sharp cannot read every image, and some are broken: ComfyUI has the better error message for those.
  const header = await sharp(pathOrBytes, { limitInputPixels: false })
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
