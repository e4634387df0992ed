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

/** Serialized JSON, ready to be sent more than once. */
export interface JsonBody {
  readonly bytes: number;
  /** All of it. Base64 is encoded by the first use, and kept. */
  readonly chunks: readonly Buffer[];
  /** The same bytes in small pieces; base64 is encoded while they are read, and not kept. */
  readonly pieces?: () => Iterable<Buffer>;
}

/** A body whose pieces are made when they are needed. */
export function lazyBody(bytes: number, pieces: () => Iterable<Buffer>): JsonBody {
  let chunks: readonly Buffer[] | undefined;
  return {
    bytes,
    pieces,
    get chunks() {
      return (chunks ??= [Buffer.concat([...pieces()], bytes)]);
    },
  };
}

/** The pieces of a body, as many as it has. */
export const piecesOf = (body: JsonBody): Iterable<Buffer> => body.pieces?.() ?? body.chunks;

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
  function* pieces() {
    for (const [index, part] of texts.entries()) {
      yield part;
      const leaf = leaves[index];
      if (leaf) yield* quotedBase64(leaf);
    }
  }
  return { bytes, encode: () => lazyBody(bytes, pieces) };
}

/** Encoded piece by piece, so that no string as long as the file is made. */
function* quotedBase64({ bytes }: Base64): Generator<Buffer> {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  yield QUOTE;
  for (let from = 0; from < source.length; from += 2 * PIECE_BYTES) {
    const rest = Math.min(source.length - from, 2 * PIECE_BYTES);
    const piece = Buffer.allocUnsafeSlow(4 * Math.ceil(rest / 3));
    const half = piece.write(source.toString('base64', from, from + PIECE_BYTES), 'latin1');
    piece.write(source.toString('base64', from + PIECE_BYTES, from + rest), half, 'latin1');
    yield piece;
  }
  yield QUOTE;
}

const QUOTE = Buffer.from('"');

/**
 * A multiple of three, so that only the last piece has padding. Strings above 128 KB get memory pages of their own from
 * V8: encoding takes four times as long with them.
 */
const PIECE_BYTES = 3 * 16 * 1024;
