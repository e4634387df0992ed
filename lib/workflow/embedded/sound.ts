import {
  DamagedFile,
  utf8,
  withoutPadding,
  type ByteSource,
  type NamedText,
} from './byte-source.ts';
import { exifTexts, utf16 } from './exif.ts';

/** The Vorbis comments of a FLAC file. */
export async function* flacTexts(source: ByteSource): AsyncGenerator<NamedText> {
  for (let at = 4; at + 4 <= source.size;) {
    const head = (await source.bytes(at, 4)).readUInt32BE();
    const type = (head >>> 24) & 0x7f;
    const length = head & 0xffffff;
    if (type === COMMENT_BLOCK) yield* vorbisComments(await source.bytes(at + 4, length));
    if (head >>> 31 === 1) return; // the last block
    at += 4 + length;
  }
}

/**
 * The comments of an Ogg file: Vorbis, Opus, FLAC, Theora. They are in the second packet of a stream, which may go over
 * many pages, between pages of other streams.
 */
export async function* oggTexts(source: ByteSource): AsyncGenerator<NamedText> {
  const packets = new Map<number, Buffer[]>();
  let bytes = 0;
  for (let at = 0; at + 27 <= source.size;) {
    const head = await source.bytes(at, 27);
    if (head.toString('latin1', 0, 4) !== 'OggS')
      throw new DamagedFile('has no page where one must begin');
    const stream = head.readUInt32LE(14);
    const lengths = await source.bytes(at + 27, head.readUInt8(26));
    at += 27 + lengths.length;
    const pieces = packets.get(stream) ?? [];
    packets.set(stream, pieces);
    let length = 0;
    for (const [index, lacing] of lengths.entries()) {
      length += lacing;
      const isPacketEnd = lacing < 255;
      if (!isPacketEnd && index < lengths.length - 1) continue;
      pieces.push(await source.bytes(at, length));
      at += length;
      bytes += length;
      length = 0;
      if (!isPacketEnd) continue;
      const packet = Buffer.concat(pieces.splice(0));
      const [start] = OGG_COMMENTS.exec(packet.toString('latin1', 0, 8)) ?? [];
      if (start === undefined) continue;
      yield* vorbisComments(packet.subarray(start.length === 1 ? 4 : start.length));
      return;
    }
    if (bytes > MOST_OGG_BYTES) return; // sound; comments come before it
  }
}

function* vorbisComments(block: Buffer): Generator<NamedText> {
  let at = 0;
  const next = () => {
    if (at + 4 > block.length) throw new DamagedFile('has comments that are cut off');
    const length = block.readUInt32LE(at);
    at += 4;
    return length;
  };
  const nextText = () => {
    const length = next();
    if (at + length > block.length) throw new DamagedFile('has comments that are cut off');
    at += length;
    return utf8(block.subarray(at - length, at));
  };
  nextText(); // the program that wrote the file
  for (let left = next(); left > 0; left--) {
    const text = nextText();
    const equals = text.indexOf('=');
    if (equals > 0) yield [text.slice(0, equals), text.slice(equals + 1)];
  }
}

/** The ID3 tag at the beginning of an MP3. */
export async function* mp3Texts(source: ByteSource): AsyncGenerator<NamedText> {
  const head = await source.head(10);
  if (head.length < 10 || head.toString('latin1', 0, 3) !== 'ID3') return;
  yield* id3Texts(await source.bytes(0, 10 + synchsafe(head, 6)));
}

/** The texts of an ID3 tag, versions 2.2 to 2.4: texts that have a name of their own (`TXXX`), and comments. */
function* id3Texts(tag: Buffer): Generator<NamedText> {
  const version = tag.readUInt8(3);
  const flags = tag.readUInt8(5);
  const whole = tag.subarray(10);
  const frames = version < 4 && flags & UNSYNCHRONISED ? synchronised(whole) : whole;
  const idLength = version === 2 ? 3 : 4;
  const headLength = version === 2 ? 6 : 10;
  for (let at = extendedHeader(frames, { version, flags }); at + headLength < frames.length;) {
    const id = frames.toString('latin1', at, at + idLength);
    if (!/^[A-Z0-9]+$/.test(id)) return; // padding
    const length =
      version === 4
        ? synchsafe(frames, at + 4)
        : version === 3
          ? frames.readUInt32BE(at + 4)
          : frames.readUIntBE(at + 3, 3);
    const start = at + headLength;
    if (start + length > frames.length)
      throw new DamagedFile(`has an ID3 frame ${id} that is cut off`);
    const frameFlags = version === 4 ? frames.readUInt8(at + 9) : 0;
    at = start + length;
    let data = frames.subarray(start, at);
    if (frameFlags & HAS_LENGTH) data = data.subarray(4);
    if (frameFlags & FRAME_UNSYNCHRONISED) data = synchronised(data);
    if (id === 'TXXX' || id === 'TXX') yield readUserText(data, 1);
    else if (id === 'COMM' || id === 'COM') yield ['comment', readUserText(data, 4)[1]];
  }
}

function extendedHeader(
  frames: Buffer,
  { version, flags }: { version: number; flags: number },
): number {
  if (version < 3 || !(flags & EXTENDED) || frames.length < 4) return 0;
  return version === 4 ? synchsafe(frames, 0) : frames.readUInt32BE(0) + 4;
}

/** Encoding, the language of a comment, a name, a zero character, the text. */
function readUserText(data: Buffer, nameStart: number): NamedText {
  const encoding = data[0] ?? 0;
  const isWide = encoding === 1 || encoding === 2;
  const content = data.subarray(nameStart);
  let end = content.indexOf(0);
  while (isWide && end >= 0 && (end % 2 === 1 || content[end + 1] !== 0))
    end = content.indexOf(0, end + 1);
  if (end < 0) throw new DamagedFile('has an ID3 text without a name');
  const decode = (bytes: Buffer) =>
    isWide ? utf16(bytes, encoding === 1) : encoding === 3 ? utf8(bytes) : latin1OrUtf8(bytes);
  return [decode(content.subarray(0, end)), decode(content.subarray(end + (isWide ? 2 : 1)))];
}

/** Many programs write UTF-8 where the tag says Latin-1. */
function latin1OrUtf8(bytes: Buffer): string {
  const text = utf8(bytes);
  return text.includes('\uFFFD') ? withoutPadding(bytes.toString('latin1')) : text;
}

/** A number of four bytes with seven bits each. */
function synchsafe(bytes: Buffer, at: number): number {
  const digits = bytes.subarray(at, at + 4);
  if (digits.length < 4) throw new DamagedFile('has an ID3 tag that is cut off');
  return digits.reduce((sum, digit) => sum * 128 + (digit & 0x7f), 0);
}

/** Removes the zero that follows each byte 255. */
function synchronised(bytes: Buffer): Buffer {
  return bytes.filter((byte, index) => !(byte === 0 && bytes[index - 1] === 0xff)) as Buffer;
}

/** The files whose parts are RIFF chunks: EXIF of a WebP; comments (`LIST INFO`) and ID3 tag of a WAV. */
export async function* riffTexts(source: ByteSource): AsyncGenerator<NamedText> {
  for (let at = 12; at + 8 <= source.size;) {
    const head = await source.bytes(at, 8);
    const type = head.toString('latin1', 0, 4);
    const length = head.readUInt32LE(4);
    if (type === 'EXIF') yield* exifTexts(await source.bytes(at + 8, length));
    else if (type === 'LIST')
      yield* infoTexts(await source.bytes(at + 8, Math.min(length, source.size - at - 8)));
    else if (type.toLowerCase() === 'id3 ') yield* id3Texts(await source.bytes(at + 8, length));
    at += 8 + length + (length % 2);
  }
}

function* infoTexts(list: Buffer): Generator<NamedText> {
  if (list.toString('latin1', 0, 4) !== 'INFO') return;
  for (let at = 4; at + 8 <= list.length;) {
    const length = list.readUInt32LE(at + 4);
    const name = list.toString('latin1', at, at + 4);
    yield [name === 'ICMT' ? 'comment' : name, utf8(list.subarray(at + 8, at + 8 + length))];
    at += 8 + length + (length % 2);
  }
}

const COMMENT_BLOCK = 4;
/** How the packet with the comments begins; Ogg FLAC has the four bytes of a FLAC block there. */
const OGG_COMMENTS = /^(?:\x03vorbis|OpusTags|\x81theora|[\x04\x84](?=[\0-\x0f]))/;
const MOST_OGG_BYTES = 64_000_000;
const UNSYNCHRONISED = 0x80;
const EXTENDED = 0x40;
const HAS_LENGTH = 0x01;
const FRAME_UNSYNCHRONISED = 0x02;
