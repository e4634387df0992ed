import { DamagedFile, utf8, withoutPadding, type NamedText } from './byte-source.ts';

/**
 * The texts of a block of EXIF. ComfyUI and the editor write `prompt:{...}` and `workflow:{...}` into tags that are meant
 * for the make and model of a camera, so a prefix names the text, and not the tag. Other nodes write one JSON object
 * with both into `UserComment`.
 * @throws DamagedFile
 */
export function* exifTexts(block: Buffer): Generator<NamedText> {
  const tiff = block.toString('latin1', 0, 6) === 'Exif\0\0' ? block.subarray(6) : block;
  const order = tiff.toString('latin1', 0, 2);
  if (order !== 'II' && order !== 'MM') throw new DamagedFile('has EXIF data of an unknown form');
  const numbers = new TiffNumbers(tiff, order === 'II');
  const folders = [numbers.uint32(4)];
  let left = tiff.length; // entries that share their bytes must not make the work endless
  for (const at of folders) {
    const count = numbers.uint16(at);
    for (let entry = at + 2; entry < at + 2 + count * 12; entry += 12) {
      const tag = numbers.uint16(entry);
      if (tag === EXIF_FOLDER && folders.length === 1) folders.push(numbers.uint32(entry + 8));
      const text = textOf(numbers, entry);
      if (text === undefined) continue;
      left -= text.length;
      if (left < 0) throw new DamagedFile('has EXIF texts that lie one upon the other');
      const [, name] = PREFIX.exec(text) ?? [];
      yield name === undefined ? [`exif ${tag}`, text] : [name, text.slice(name.length + 1)];
    }
  }
}

/** The value of an entry if it can be a text of more than four bytes, which are stored elsewhere. */
function textOf(numbers: TiffNumbers, entry: number): string | undefined {
  const tag = numbers.uint16(entry);
  const type = numbers.uint16(entry + 2);
  const length = numbers.uint32(entry + 4);
  if (length <= 4 || (type !== ASCII && tag !== USER_COMMENT)) return undefined;
  const bytes = numbers.slice(numbers.uint32(entry + 8), length);
  if (tag !== USER_COMMENT) return utf8(bytes);
  const charset = bytes.toString('latin1', 0, 8).replaceAll('\0', '');
  const comment = bytes.subarray(8);
  if (charset === 'UNICODE') {
    const isLittle = comment[1] === 0 || numbers.isLittle;
    return utf16(comment, isLittle);
  }
  return utf8(charset === 'ASCII' || charset === '' ? comment : bytes);
}

/** Reads UTF-16 of either byte order; a byte order mark wins over `isLittle`. */
export function utf16(bytes: Buffer, isLittle: boolean): string {
  const mark = bytes.length >= 2 ? bytes.readUInt16BE(0) : 0;
  const isMarked = mark === 0xfffe || mark === 0xfeff;
  const even = bytes.subarray(isMarked ? 2 : 0, bytes.length & ~1);
  const isLittleEndian = isMarked ? mark === 0xfffe : isLittle;
  const text = isLittleEndian ? even : Buffer.from(even).swap16();
  return withoutPadding(text.toString('utf16le'));
}

class TiffNumbers {
  readonly isLittle: boolean;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer, isLittle: boolean) {
    this.#bytes = bytes;
    this.isLittle = isLittle;
  }

  uint16(at: number): number {
    const bytes = this.slice(at, 2);
    return this.isLittle ? bytes.readUInt16LE() : bytes.readUInt16BE();
  }

  uint32(at: number): number {
    const bytes = this.slice(at, 4);
    return this.isLittle ? bytes.readUInt32LE() : bytes.readUInt32BE();
  }

  slice(at: number, length: number): Buffer {
    if (at + length > this.#bytes.length) throw new DamagedFile('has EXIF data that is cut off');
    return this.#bytes.subarray(at, at + length);
  }
}

/** Some nodes begin it with a capital. */
const PREFIX = /^(prompt|workflow):/i;
const ASCII = 2;
const EXIF_FOLDER = 0x8769;
const USER_COMMENT = 0x9286;
