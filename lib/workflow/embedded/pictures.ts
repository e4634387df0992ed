import { inflateSync } from 'node:zlib';
import { DamagedFile, utf8, type ByteSource, type NamedText } from './byte-source.ts';
import { exifTexts } from './exif.ts';

/**
 * The text chunks of a PNG. ComfyUI writes `tEXt`; for animations it writes the same content as `comf`, behind the pixels.
 * Some programs compress the texts.
 */
export async function* pngTexts(source: ByteSource): AsyncGenerator<NamedText> {
  for (let at = 8; at + 8 <= source.size;) {
    const head = await source.bytes(at, 8);
    const length = head.readUInt32BE();
    const type = head.toString('latin1', 4);
    if (type === 'IEND') return;
    if (TEXT_CHUNKS.has(type)) yield readTextChunk(type, await source.bytes(at + 8, length));
    else if (type === 'eXIf') yield* exifTexts(await source.bytes(at + 8, length));
    at += 8 + length + 4;
  }
}

function readTextChunk(type: string, data: Buffer): NamedText {
  const keyEnd = data.indexOf(0);
  if (keyEnd < 0) throw new DamagedFile(`has a ${type} chunk without a name`);
  const name = data.toString('latin1', 0, keyEnd);
  if (type === 'zTXt') return [name, inflate(data.subarray(keyEnd + 2))];
  if (type !== 'iTXt') return [name, utf8(data.subarray(keyEnd + 1))];
  // Name, whether compressed, method, language, translated name, text.
  const languageEnd = data.indexOf(0, keyEnd + 3);
  const translationEnd = data.indexOf(0, languageEnd + 1);
  if (languageEnd < 0 || translationEnd < 0) throw new DamagedFile('has an iTXt chunk cut off');
  const text = data.subarray(translationEnd + 1);
  return [name, data[keyEnd + 1] === 1 ? inflate(text) : utf8(text)];
}

function inflate(bytes: Buffer): string {
  try {
    return utf8(inflateSync(bytes, { maxOutputLength: MOST_INFLATED }));
  } catch (cause) {
    throw new DamagedFile('has a compressed text that cannot be read', { cause });
  }
}

/** The EXIF data and the comments of a JPEG. */
export async function* jpegTexts(source: ByteSource): AsyncGenerator<NamedText> {
  for (let at = 2; at + 4 <= source.size;) {
    const head = await source.bytes(at, 4);
    const marker = head.readUInt8(1);
    if (head.readUInt8(0) !== 0xff) throw new DamagedFile('has no segment where one must begin');
    if (marker === START_OF_SCAN) return;
    const length = head.readUInt16BE(2);
    if (marker === APP1 || marker === COMMENT) {
      const data = await source.bytes(at + 4, length - 2);
      if (marker === COMMENT) yield ['comment', utf8(data)];
      else if (data.toString('latin1', 0, 6) === 'Exif\0\0') yield* exifTexts(data);
    }
    at += 2 + Math.max(length, 2);
  }
}

const TEXT_CHUNKS: ReadonlySet<string> = new Set(['tEXt', 'zTXt', 'iTXt', 'comf']);
const MOST_INFLATED = 64_000_000;
const APP1 = 0xe1;
const COMMENT = 0xfe;
const START_OF_SCAN = 0xda;
