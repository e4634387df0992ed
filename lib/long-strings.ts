/*
 * Megabytes of base64 in a JSON document. As text they would be copied and scanned again and again: by the UTF-8 decoder,
 * the JSON parser, the search for the end of a value. So they stay the bytes that arrived, and the text has a mark instead.
 *
 * The page loads this file with `json.ts`, so nothing here may need Node before bytes are read.
 */

/** The content of a long string: printable ASCII without escapes. */
export class LongString {
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  toString(): string {
    return this.bytes.toString('latin1');
  }
}

/** A text in which `"<mark><index>"` stands for each long string. The mark is random, so that no other string equals it. */
export interface Document {
  readonly source: string;
  readonly mark: string;
  readonly longStrings: readonly LongString[];
}

/**
 * A text is taken as it is. Bytes are decoded as UTF-8, without a byte order mark, and their long strings are taken out.
 * Whether the document is valid JSON is not checked, but a long string that is taken out is valid.
 */
export function toDocument(sent: string | Buffer): Document {
  if (typeof sent === 'string') return { source: sent, mark: '', longStrings: [] };
  const bytes = sent.indexOf(BYTE_ORDER_MARK) === 0 ? sent.subarray(BYTE_ORDER_MARK.length) : sent;
  if (bytes.length < LONG_STRING) return toDocument(bytes.toString());
  const mark = crypto.randomUUID();
  const pieces: string[] = [];
  const longStrings: LongString[] = [];
  let copied = 0;
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] !== QUOTE) continue;
    const end = endOfString(bytes, at);
    if (isLongString(bytes, at, end)) {
      pieces.push(bytes.toString('utf8', copied, at), `"${mark}${longStrings.length}"`);
      longStrings.push(new LongString(bytes.subarray(at + 1, end - 1)));
      copied = end;
    }
    at = end - 1;
  }
  const source = pieces.join('') + bytes.toString('utf8', copied);
  return { source, mark, longStrings };
}

/** The index after the string that starts at `start`, or the end of the document when the string has none. */
function endOfString(bytes: Buffer, start: number): number {
  let at = start + 1;
  for (const near = Math.min(at + NEAR_BYTES, bytes.length); at < near; at++) {
    if (bytes[at] === QUOTE) return at + 1;
    if (bytes[at] === BACKSLASH) at++;
  }
  for (;;) {
    const quote = bytes.indexOf(QUOTE, at);
    if (quote < 0) return bytes.length;
    let backslashes = 0;
    while (bytes[quote - 1 - backslashes] === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return quote + 1;
    at = quote + 1;
  }
}

/** Names of members stay in the text, whatever their length. */
function isLongString(bytes: Buffer, start: number, end: number): boolean {
  if (end - start < LONG_STRING || bytes[end - 1] !== QUOTE) return false;
  let next = end;
  while ((bytes[next] ?? COLON) <= SPACE) next++;
  return bytes[next] !== COLON && isPlain(bytes.subarray(start + 1, end - 1));
}

/** Whether all bytes are between 0x20 and 0x7f and none is a backslash. Sixteen bytes at a time. */
function isPlain(bytes: Buffer): boolean {
  if (bytes.includes(BACKSLASH)) return false;
  const before = (4 - (bytes.byteOffset % 4)) % 4;
  const words = new Int32Array(
    bytes.buffer,
    bytes.byteOffset + before,
    (bytes.length - before) >> 2,
  );
  let bits = 0;
  const unrolled = words.length - (words.length % 4); // four words at a time take half as long
  for (let at = 0; at < unrolled; at += 4) {
    bits |= highBits(words[at] ?? 0) | highBits(words[at + 1] ?? 0);
    bits |= highBits(words[at + 2] ?? 0) | highBits(words[at + 3] ?? 0);
  }
  const rest = [
    ...bytes.subarray(0, before),
    ...bytes.subarray(before + unrolled * Int32Array.BYTES_PER_ELEMENT),
  ];
  return (bits & HIGH_BITS) === 0 && rest.every((byte) => byte >= SPACE && byte <= 0x7f);
}

/** The high bit of each byte is set if the byte is above 0x7f; or below 0x20, where the subtraction makes it negative. */
const highBits = (word: number) => (word - SPACES) | word;

const SPACES = 0x20202020;
const HIGH_BITS = 0x80808080;

/** Bytes from which a string is taken out. */
const LONG_STRING = 100_000;

/** Most strings are short: only when one is longer than this, its end is found by a native search. */
const NEAR_BYTES = 64;

const SPACE = 0x20;
const QUOTE = 0x22;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const BYTE_ORDER_MARK = new Uint8Array([0xef, 0xbb, 0xbf]);
