import { DamagedFile, utf8, type ByteSource, type NamedText } from './byte-source.ts';
import { exifTexts } from './exif.ts';

/**
 * Files made of ISO boxes: MP4, MOV, M4V, M4A, and AVIF or HEIF pictures.
 *
 * ComfyUI's SaveVideo and VideoHelperSuite let FFmpeg write names of their own (`use_metadata_tags`): `moov/udta/meta` has a
 * box `keys` with the names and a box `ilst` with the values. Without that option FFmpeg keeps only the tags it knows,
 * among them the comment: `©cmt`. A picture has its EXIF data as an item of the box `meta`.
 */
export async function* isoTexts(source: ByteSource): AsyncGenerator<NamedText> {
  for await (const box of boxes(source, 0, source.size)) {
    if (box.type === 'meta') yield* metaTexts(source, box);
    else if (box.type === 'udta') yield* userData(source, box);
    else if (box.type === 'moov') yield* movieTexts(source, box);
  }
}

async function* movieTexts(source: ByteSource, movie: Box): AsyncGenerator<NamedText> {
  for await (const box of boxes(source, movie.start, movie.end)) {
    if (box.type === 'udta') yield* userData(source, box);
    else if (box.type === 'meta') yield* metaTexts(source, box);
  }
}

/** In MOV the tags are directly here: two bytes of length, two of language, then the text. */
async function* userData(source: ByteSource, data: Box): AsyncGenerator<NamedText> {
  for await (const box of boxes(source, data.start, data.end)) {
    if (box.type === 'meta') yield* metaTexts(source, box);
    else if (box.type.startsWith('\xa9') && box.end - box.start > 4) {
      yield [box.type, utf8(await source.bytes(box.start + 4, box.end - box.start - 4))];
    }
  }
}

async function* metaTexts(source: ByteSource, meta: Box): AsyncGenerator<NamedText> {
  if (meta.end - meta.start < 8) return;
  // In ISO files four bytes of version and flags come first; QuickTime's box has none.
  const head = await source.bytes(meta.start, 8);
  const start = head.toString('latin1', 4, 8) === 'hdlr' ? meta.start : meta.start + 4;
  const inside = new Map<string, Box>();
  for await (const box of boxes(source, start, meta.end)) inside.set(box.type, box);
  const [keys, list, items, places] = ['keys', 'ilst', 'iinf', 'iloc'].map((type) =>
    inside.get(type),
  );
  if (list) yield* listedTexts(source, list, keys ? await readKeys(source, keys) : []);
  if (items && places) {
    const ids = exifItems(await source.bytes(items.start, items.end - items.start));
    const locations = itemLocations(await source.bytes(places.start, places.end - places.start));
    for (const { itemId, isInData, start: at, length } of locations) {
      if (!ids.has(itemId)) continue;
      const base = isInData ? (inside.get('idat')?.start ?? 0) : 0;
      const block = await source.bytes(base + at, length);
      // The block begins with the distance to the TIFF header.
      const header = block.length < 4 ? 0 : 4 + block.readUInt32BE();
      yield* exifTexts(block.subarray(header));
    }
  }
}

async function readKeys(source: ByteSource, { start, end }: Box): Promise<string[]> {
  const names: string[] = [];
  for await (const box of boxes(source, start + 8, end)) {
    names.push(utf8(await source.bytes(box.start, box.end - box.start)));
  }
  return names;
}

/** An entry is named by its position in `keys`, or has a name of four letters. The text is in a box `data`, behind eight bytes. */
async function* listedTexts(
  source: ByteSource,
  list: Box,
  keys: readonly string[],
): AsyncGenerator<NamedText> {
  for await (const entry of boxes(source, list.start, list.end)) {
    const number = Buffer.from(entry.type, 'latin1').readUInt32BE();
    for await (const box of boxes(source, entry.start, entry.end)) {
      if (box.type !== 'data' || box.end - box.start < 8) continue;
      const text = utf8(await source.bytes(box.start + 8, box.end - box.start - 8));
      yield [keys[number - 1] ?? entry.type, text];
    }
  }
}

/** The ids of the items that are EXIF data (`iinf` with entries `infe`). */
function exifItems(info: Buffer): ReadonlySet<number> {
  const ids = new Set<number>();
  const cursor = new Cursor(info);
  const version = cursor.number(1);
  cursor.skip(3);
  for (let left = cursor.number(version === 0 ? 2 : 4); left > 0; left--) {
    const entry = new Cursor(cursor.slice(Math.max(cursor.number(4), 8) - 4));
    entry.skip(4); // 'infe'
    const entryVersion = entry.number(1);
    entry.skip(3);
    if (entryVersion < 2) continue;
    const itemId = entry.number(entryVersion === 2 ? 2 : 4);
    entry.skip(2);
    if (entry.slice(4).toString('latin1') === 'Exif') ids.add(itemId);
  }
  return ids;
}

interface ItemLocation {
  readonly itemId: number;
  /** Counted from the box `idat`, and not from the start of the file. */
  readonly isInData: boolean;
  readonly start: number;
  readonly length: number;
}

/** The places of the items (`iloc`). Of an item in several pieces only the first is taken, as the editor does. */
function* itemLocations(box: Buffer): Generator<ItemLocation> {
  const cursor = new Cursor(box);
  const version = cursor.number(1);
  cursor.skip(3);
  const sizes = cursor.number(2);
  const [offsetSize, lengthSize, baseSize] = [sizes >> 12, (sizes >> 8) & 15, (sizes >> 4) & 15];
  const indexSize = version === 0 ? 0 : sizes & 15;
  const idSize = version < 2 ? 2 : 4;
  for (let left = cursor.number(idSize); left > 0; left--) {
    const itemId = cursor.number(idSize);
    const method = version === 0 ? 0 : cursor.number(2) & 15;
    cursor.skip(2);
    const base = cursor.number(baseSize);
    for (let extents = cursor.number(2), index = 0; index < extents; index++) {
      cursor.skip(indexSize);
      const start = base + cursor.number(offsetSize);
      const length = cursor.number(lengthSize);
      if (index === 0 && method < 2) yield { itemId, isInData: method === 1, start, length };
    }
  }
}

class Cursor {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  slice(length: number): Buffer {
    const start = this.#at;
    this.skip(length);
    return this.#bytes.subarray(start, this.#at);
  }

  skip(length: number): void {
    this.#at += length;
    if (this.#at > this.#bytes.length) throw new DamagedFile('has a list of items that is cut off');
  }

  /** A whole number of 0, 1, 2, 4 or 8 bytes. */
  number(size: number): number {
    return this.slice(size).reduce((sum, byte) => sum * 256 + byte, 0);
  }
}

interface Box {
  readonly type: string;
  /** The bounds of its content in the file. */
  readonly start: number;
  readonly end: number;
}

/** The boxes between two positions. The last one may say that it reaches to the end (length 0). */
async function* boxes(source: ByteSource, start: number, end: number): AsyncGenerator<Box> {
  for (let at = start; at + 8 <= end;) {
    const head = await source.bytes(at, 8);
    const type = head.toString('latin1', 4);
    const short = head.readUInt32BE();
    const headLength = short === 1 ? 16 : 8;
    const long = short === 1 ? Number((await source.bytes(at + 8, 8)).readBigUInt64BE()) : short;
    const length = short === 0 ? end - at : long;
    if (length < headLength) {
      if (type === '\0\0\0\0') return; // QuickTime ends a list with zeros
      throw new DamagedFile(`has a box of ${length} bytes at byte ${at}`);
    }
    if (at + length > end)
      throw new DamagedFile(`ends in the middle of the box ${JSON.stringify(type)}`);
    yield { type, start: at + headLength, end: at + length };
    at += length;
  }
}
