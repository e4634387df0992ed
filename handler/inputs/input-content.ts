import { hash } from 'node:crypto';
import { openAsBlob } from 'node:fs';
import { mediaTypeOf } from '../../lib/media-type.ts';

/** The bytes of an input: in memory when they came with the job, on disk when they were downloaded. */
export interface InputContent {
  readonly bytes: number;
  /** SHA-256 in hexadecimal digits. */
  readonly digest: string;
  readonly mediaType: string;
  /** The name the server gave the file. */
  readonly filename?: string;
  /** A path, or the bytes themselves. */
  readonly at: string | Buffer;
}

/** Bytes in memory are copied, so call this only when the blob is needed. */
export async function toBlob({ at }: InputContent): Promise<Blob> {
  return typeof at === 'string' ? await openAsBlob(at) : new Blob([at]);
}

/**
 * Decodes base64 that came with the job. The media type is the one a data URI declares, else that of `name`.
 * @throws RangeError with a text for people.
 */
export function decodeContent(text: string, name: string): InputContent {
  const at = decodeBase64(text);
  const declared = /^data:([\w.+-]+\/[\w.+-]+)[;,]/.exec(text.slice(0, 200))?.[1];
  const mediaType = declared ?? mediaTypeOf(name);
  return { bytes: at.length, digest: hash('sha256', at, 'hex'), mediaType, at };
}

/**
 * Decodes base64 as clients send it: bare or as data URI, with blanks and line breaks, in the standard or the URL-safe
 * alphabet. Anything else is an error that names the position: skipping a stray character would give a broken file.
 * @throws RangeError with a text for people.
 */
export function decodeBase64(sent: string): Buffer {
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
