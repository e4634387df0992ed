import { DamagedFile } from './byte-source.ts';

/** Gives the new text of a prompt, or the same text. Texts are passed byte by byte (Latin-1), so that no byte is lost. */
export type Rewrite = (prompt: string) => string;

/**
 * A block of EXIF with another text in the tags that begin with `prompt:`. What comes behind a text moves, so the offsets
 * that point there are corrected.
 * @returns undefined when nothing changes.
 * @throws DamagedFile
 */
export function rewriteExif(block: Buffer, rewrite: Rewrite): Buffer | undefined {
  const prefix = block.toString('latin1', 0, 6) === 'Exif\0\0' ? 6 : 0;
  let tiff = block.subarray(prefix);
  let isChanged = false;
  // Offsets change with each text, so the block is read again after each change.
  for (let done = 0; ;) {
    const { texts, offsets } = readOffsets(tiff);
    const entry = texts[done++];
    if (!entry) break;
    const bytes = tiff.subarray(entry.start, entry.start + entry.length);
    const [, name = '', text = '', end = ''] =
      /^(prompt: ?)([^\0]*)(\0*)$/is.exec(bytes.toString('latin1')) ?? [];
    const changed = rewrite(text);
    if (name === '' || changed === text) continue;
    const value = Buffer.from(name + changed + end, 'latin1');
    if (value.length <= 4) continue;
    tiff = withValue(tiff, { entry, value, offsets });
    isChanged = true;
  }
  return isChanged ? Buffer.concat([block.subarray(0, prefix), tiff]) : undefined;
}

interface TextEntry {
  /** Where its number of bytes is written. The offset of its value follows. */
  readonly lengthAt: number;
  readonly start: number;
  readonly length: number;
}

/** Values begin at even offsets. A value of odd length is followed by one zero, unless the next one begins there. */
function withValue(
  tiff: Buffer,
  change: {
    readonly entry: TextEntry;
    readonly value: Buffer;
    readonly offsets: readonly number[];
  },
): Buffer {
  const { entry, value, offsets } = change;
  const numbers = numbersOf(tiff);
  const textEnd = entry.start + entry.length;
  const isPadded =
    entry.length % 2 === 1 &&
    tiff[textEnd] === 0 &&
    !offsets.some((at) => numbers.uint32(at) === textEnd);
  const end = textEnd + (isPadded ? 1 : 0);
  const padding = Buffer.alloc((end - entry.start + value.length) % 2);
  const growth = value.length + padding.length - (end - entry.start);
  const head = Buffer.from(tiff);
  const write = (at: number, number: number) =>
    numbers.isLittle ? head.writeUInt32LE(number, at) : head.writeUInt32BE(number, at);
  write(entry.lengthAt, value.length);
  for (const at of offsets) if (numbers.uint32(at) >= end) write(at, numbers.uint32(at) + growth);
  return Buffer.concat([head.subarray(0, entry.start), value, padding, head.subarray(end)]);
}

/** All texts, and the positions of all offsets, of a block of EXIF. */
function readOffsets(tiff: Buffer): {
  readonly texts: readonly TextEntry[];
  readonly offsets: readonly number[];
} {
  const { uint16, uint32 } = numbersOf(tiff);
  const texts: TextEntry[] = [];
  const offsets = [4];
  const folders = [uint32(4)];
  for (const folder of folders) {
    if (folders.length > MOST_FOLDERS) throw new DamagedFile('has too many lists of EXIF entries');
    const entriesEnd = folder + 2 + uint16(folder) * 12;
    for (let entry = folder + 2; entry < entriesEnd; entry += 12) {
      const type = uint16(entry + 2);
      const length = uint32(entry + 4) * (BYTES_OF_TYPE[type] ?? 1);
      const isFolder = SUB_FOLDERS.has(uint16(entry)) && length === 4;
      if (length > 4 || isFolder) offsets.push(entry + 8);
      if (isFolder) folders.push(uint32(entry + 8));
      else if (type === ASCII && length > 4)
        texts.push({ lengthAt: entry + 4, start: uint32(entry + 8), length });
    }
    const next = entriesEnd + 4 <= tiff.length ? uint32(entriesEnd) : 0;
    if (next === 0) continue;
    offsets.push(entriesEnd);
    folders.push(next);
  }
  return { texts, offsets };
}

function numbersOf(tiff: Buffer) {
  const order = tiff.toString('latin1', 0, 2);
  if (order !== 'II' && order !== 'MM') throw new DamagedFile('has EXIF data of an unknown form');
  const isLittle = order === 'II';
  const check = (at: number, length: number) => {
    if (at + length > tiff.length) throw new DamagedFile('has EXIF data that is cut off');
  };
  return {
    isLittle,
    uint16: (at: number) => {
      check(at, 2);
      return isLittle ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at);
    },
    uint32: (at: number) => {
      check(at, 4);
      return isLittle ? tiff.readUInt32LE(at) : tiff.readUInt32BE(at);
    },
  };
}

const ASCII = 2;
/** Bytes of one value, by type (TIFF 6.0, section 2). */
const BYTES_OF_TYPE = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8];
/** Tags that hold the offset of another list of entries: EXIF, GPS, interoperability. */
const SUB_FOLDERS: ReadonlySet<number> = new Set([0x8769, 0x8825, 0xa005]);
const MOST_FOLDERS = 20;
