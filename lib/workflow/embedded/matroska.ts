import { DamagedFile, utf8, type ByteSource, type NamedText } from './byte-source.ts';

/**
 * The tags of a WebM or MKV file. An element has an id, a length and a content; both numbers have one to eight bytes, and
 * the first bit that is set tells how many. A file that was written while it was sent has elements without a length;
 * those are entered rather than skipped.
 */
export async function* matroskaTexts(source: ByteSource): AsyncGenerator<NamedText> {
  let name: string | undefined;
  for (let at = 0; at + 2 <= source.size;) {
    const { id, start, length } = await elementAt(source, at);
    const isEntered = ENTERED.has(id) || length === undefined;
    if (id === TAG_NAME && length !== undefined) name = utf8(await source.bytes(start, length));
    if (id === TAG_STRING && length !== undefined && name !== undefined) {
      yield [name, utf8(await source.bytes(start, length))];
    }
    at = isEntered ? start : start + length;
  }
}

interface Element {
  /** With its marker bit. */
  readonly id: number;
  /** Where the content begins. */
  readonly start: number;
  /** Undefined: not known when it was written. */
  readonly length: number | undefined;
}

async function elementAt(source: ByteSource, at: number): Promise<Element> {
  const bytes = await source.bytes(at, Math.min(12, source.size - at));
  const idLength = Math.clz32(bytes.readUInt8(0)) - 23;
  const lengthFirst = bytes[idLength] ?? 0;
  const lengthLength = Math.clz32(lengthFirst) - 23;
  if (idLength > 4 || lengthLength > 8 || idLength + lengthLength > bytes.length) {
    throw new DamagedFile(`has no element at byte ${at}, where one must begin`);
  }
  const digits = bytes.subarray(idLength + 1, idLength + lengthLength);
  const firstDigit = lengthFirst & (0xff >> lengthLength);
  const isUnknown = firstDigit === 0xff >> lengthLength && digits.every((byte) => byte === 0xff);
  const length = digits.reduce((sum, byte) => sum * 256 + byte, firstDigit);
  return {
    id: bytes.readUIntBE(0, idLength),
    start: at + idLength + lengthLength,
    length: isUnknown ? undefined : length,
  };
}

const TAG_NAME = 0x45a3;
const TAG_STRING = 0x4487;
/** Segment, Tags, Tag and SimpleTag: their content is elements. */
const ENTERED: ReadonlySet<number> = new Set([0x18538067, 0x1254c367, 0x7373, 0x67c8]);
