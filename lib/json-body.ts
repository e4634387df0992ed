import { randomUUID } from 'node:crypto';

/**
 * Bytes that stand in a value to be serialized and become a base64 string in the JSON text: standard alphabet, padded,
 * no line breaks. Kept as bytes until the very end, so that a result is measured before a single character is made.
 */
export class Base64 {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Characters of the base64 text. */
  get encodedLength(): number {
    return 4 * Math.ceil(this.bytes.length / 3);
  }
}

/** Serialized JSON in pieces, ready to be sent more than once. */
export interface JsonBody {
  readonly chunks: readonly Buffer[];
  readonly bytes: number;
}

/** All of it as text. */
export function toText({ chunks }: JsonBody): string {
  return Buffer.concat(chunks).toString();
}

/** What it stands for. */
export const valueOf = (body: JsonBody): unknown => JSON.parse(toText(body));

/** A value with its exact serialized size, before the base64 in it is written out. */
export interface MeasuredJson {
  readonly bytes: number;
  encode(): JsonBody;
}

/**
 * Serializes as `JSON.stringify` does, in UTF-8, with {@link Base64} leaves. Unlike it, a value JSON cannot hold
 * (function, symbol, BigInt, cycle, undefined at the top) is an error, never a silent gap.
 * @throws TypeError naming what could not be serialized.
 */
export function measureJson(value: unknown): MeasuredJson {
  const { texts, leaves } = serialize(value);
  const bytes =
    texts.reduce((sum, text) => sum + text.length, 0) +
    leaves.reduce((sum, leaf) => sum + leaf.encodedLength + 2, 0);
  return { bytes, encode: () => ({ bytes, chunks: [...interleave(texts, leaves)] }) };
}

function serialize(value: unknown): { texts: Buffer[]; leaves: Base64[] } {
  const leaves: Base64[] = [];
  const mark = randomUUID();
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
  return { texts: text.split(`"${mark}"`).map((part) => Buffer.from(part)), leaves };
}

function* interleave(texts: readonly Buffer[], leaves: readonly Base64[]): Generator<Buffer> {
  for (const [index, text] of texts.entries()) {
    yield text;
    const leaf = leaves[index];
    if (leaf) yield quotedBase64(leaf);
  }
}

/** Encodes piece by piece into one buffer: no string as long as the file is ever made. */
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

/** A multiple of three, so that only the last piece is padded. */
const PIECE_BYTES = 3 * 256 * 1024;
