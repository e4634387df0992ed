import { randomUUID } from 'node:crypto';

/**
 * Bytes that are written as a base64 string (standard alphabet, padded, no line breaks) when the value around them is
 * serialized. They stay bytes until then, so that a result can be measured before it is encoded.
 */
export class Base64 {
  readonly bytes: Uint8Array;
  /** Characters of the base64 text. */
  readonly encodedLength: number;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.encodedLength = 4 * Math.ceil(bytes.length / 3);
  }
}

/** Serialized JSON in pieces, ready to be sent more than once. */
export interface JsonBody {
  readonly chunks: readonly Buffer[];
  readonly bytes: number;
}

/** The whole body as one string. */
export function toText({ chunks }: JsonBody): string {
  return Buffer.concat(chunks).toString();
}

/** The value the body stands for. */
export const valueOf = (body: JsonBody): unknown => JSON.parse(toText(body));

/** A value whose exact serialized size is known before its base64 is encoded. */
export interface MeasuredJson {
  readonly bytes: number;
  encode(): JsonBody;
}

/**
 * Serializes like `JSON.stringify`, in UTF-8, with {@link Base64} leaves. A value JSON cannot hold (function, symbol,
 * BigInt, cycle, undefined at the top) is an error, while `JSON.stringify` would leave some of them out silently.
 * @throws TypeError that names what could not be serialized.
 */
export function measureJson(value: unknown): MeasuredJson {
  const leaves: Base64[] = [];
  const mark = randomUUID(); // stands for a leaf in the text
  const text = JSON.stringify(value, (key, member: unknown) => {
    if (member instanceof Base64) {
      leaves.push(member);
      return mark;
    }
    if (typeof member === 'function' || typeof member === 'symbol') {
      const where = key === '' ? '' : ` at "${key}"`;
      throw new TypeError(`A ${typeof member}${where} cannot be written as JSON`);
    }
    return member;
  }) as string | undefined;
  if (text === undefined) throw new TypeError('undefined cannot be written as JSON');

  const texts = text.split(`"${mark}"`).map((part) => Buffer.from(part));
  const textBytes = texts.reduce((sum, part) => sum + part.length, 0);
  const bytes = leaves.reduce((sum, leaf) => sum + leaf.encodedLength + 2, textBytes);
  const encode = () => {
    const chunks = texts.flatMap((part, index) => {
      const leaf = leaves[index];
      return leaf ? [part, quotedBase64(leaf)] : [part];
    });
    return { bytes, chunks };
  };
  return { bytes, encode };
}

/** Encodes piece by piece into one buffer, so that no string as long as the file is made. */
function quotedBase64(leaf: Base64): Buffer {
  const out = Buffer.allocUnsafe(leaf.encodedLength + 2);
  const source = Buffer.from(leaf.bytes.buffer, leaf.bytes.byteOffset, leaf.bytes.byteLength);
  let at = out.write('"', 'latin1');
  for (let from = 0; from < source.length; from += PIECE_BYTES) {
    at += out.write(source.toString('base64', from, from + PIECE_BYTES), at, 'latin1');
  }
  out.write('"', at, 'latin1');
  return out;
}

/**
 * A multiple of three, so that only the last piece has padding. Strings above 128 KB get memory pages of their own from
 * V8: encoding takes four times as long with them.
 */
const PIECE_BYTES = 3 * 16 * 1024;
