/**
 * Reads base64 as clients send it: bare or as data URI, with blanks and line breaks, in the standard or the URL-safe
 * alphabet. Anything else is an error that says where, because bytes dropped in silence become a picture that cannot be read.
 * @throws RangeError with a text for people.
 */
export function decodeBase64(sent: string): Buffer {
  const start = sent.indexOf(',') + 1; // whatever stands before the first comma is dropped, as clients are used to
  const text = sent.slice(start).replace(BLANKS, '');
  const digits = lengthWithoutPadding(text);
  const padding = text.length - digits;
  const bytes = Buffer.from(text, 'base64');
  if (
    digits === 0 ||
    bytes.length !== Math.floor((digits * 3) / 4) ||
    !isPadded(text, digits, padding)
  ) {
    throw new RangeError(whatIsWrong(sent, start, digits));
  }
  return bytes;
}

/** Behind it there is only padding and blanks; before it, padding is stray. */
function endOfDigits(sent: string): number {
  let end = sent.length;
  while (/[=\s]/.test(sent.charAt(end - 1))) end--;
  return end;
}

/** Counted from the end: a search with a pattern looks at all of the megabytes before it. */
function lengthWithoutPadding(text: string): number {
  let length = text.length;
  while (text[length - 1] === '=') length--;
  return length;
}

/** The media type a data URI declares, if there is one. */
export function maybeDeclaredType(sent: string): string | undefined {
  return /^data:([\w.+-]+\/[\w.+-]+)[;,]/.exec(sent.slice(0, 200))?.[1];
}

/** The URL-safe alphabet is customarily sent without padding; the standard one is not. */
function isPadded(text: string, digits: number, padding: number): boolean {
  if (padding <= 2 && (digits + padding) % 4 === 0) return true;
  return padding === 0 && digits % 4 !== 1 && /[-_]/.test(text);
}

function whatIsWrong(sent: string, start: number, digits: number): string {
  if (/^https?:\/\//i.test(sent))
    return 'Expected base64, got a URL; fetch it first and send its bytes';
  const stray = sent.slice(start, endOfDigits(sent)).search(/[^A-Za-z0-9+/_\s-]/);
  if (stray >= 0)
    return `Character ${JSON.stringify(sent[start + stray])} at position ${start + stray + 1} of ${sent.length} is not base64`;
  if (digits === 0) return 'Expected base64, got an empty string';
  if (digits % 4 === 1) {
    return `Invalid base64-encoded string: number of data characters (${digits}) cannot be 1 more than a multiple of 4`;
  }
  return `Incorrect padding (the text ends after ${digits} characters; is it cut off?)`;
}

const BLANKS = /\s+/g;
