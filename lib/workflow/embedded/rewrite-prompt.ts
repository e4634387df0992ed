import { crc32 } from 'node:zlib';
import { MemoryFile, type FileContent, type Splice } from '../../file-content.ts';
import { ByteSource, DamagedFile } from './byte-source.ts';
import { rewriteExif, type Rewrite } from './exif-writer.ts';

/**
 * A picture with another prompt in its metadata: PNG (`tEXt`, `iTXt`, and the `comf` of animations), WebP and JPEG (EXIF).
 * Lengths, offsets and checksums fit the new text. Pixels are not read: the new file consists of slices of the old one,
 * so a large file stays on disk and is streamed from there.
 * @returns the same content when nothing changes, or the file has another format.
 * @throws DamagedFile
 */
export async function withRewrittenPrompt(
  content: FileContent,
  rewrite: Rewrite,
): Promise<FileContent> {
  const source = ByteSource.ofContent(content);
  const head = (await source.head(12)).toString('latin1');
  const splices: Splice[] = [];
  if (head.startsWith('\x89PNG\r\n\x1a\n')) await rewritePng(source, rewrite, splices);
  else if (head.startsWith('RIFF') && head.endsWith('WEBP'))
    await rewriteWebp(source, rewrite, splices);
  else if (head.startsWith('\xff\xd8\xff')) await rewriteJpeg(source, rewrite, splices);
  if (splices.length === 0) return content;
  if (content instanceof MemoryFile) return content.replacing(splices);
  const parts: (Blob | Buffer<ArrayBuffer>)[] = [];
  let at = 0;
  for (const { start, end, bytes } of splices) {
    parts.push(content.slice(at, start), bytes);
    at = end;
  }
  return new Blob([...parts, content.slice(at)]);
}

/** ComfyUI writes texts before the pixels. Only an animation has them behind its pixels, so only without a text are those passed. */
async function rewritePng(source: ByteSource, rewrite: Rewrite, splices: Splice[]): Promise<void> {
  let hasPrompt = false;
  for (let at = 8; at + 8 <= source.size;) {
    const head = await source.bytes(at, 8);
    const length = head.readUInt32BE();
    const type = head.toString('latin1', 4);
    const end = at + 8 + length + 4;
    if (type === 'IEND' || (type === 'IDAT' && hasPrompt)) return;
    const textStart = TEXT_CHUNKS.has(type) ? await promptStart(source, type, at + 8, length) : -1;
    if (textStart >= 0 || type === 'eXIf') {
      const data = await source.bytes(at + 8, length);
      if (type === 'eXIf') {
        const changed = rewriteExif(data, rewrite);
        if (changed) splices.push({ start: at, end, bytes: pngChunk(type, changed) });
      } else {
        hasPrompt = true;
        const prompt = data.toString('latin1', textStart);
        const changed = rewrite(prompt);
        if (changed !== prompt) {
          const text = Buffer.from(changed, 'latin1');
          const bytes = pngChunk(type, Buffer.concat([data.subarray(0, textStart), text]));
          splices.push({ start: at, end, bytes });
        }
      }
    }
    at = end;
  }
}

/** Where the text of a chunk named `prompt` begins in its data; -1 for other chunks and for compressed ones. */
async function promptStart(source: ByteSource, type: string, start: number, length: number) {
  const data = await source.bytes(start, Math.min(length, 300));
  if (data.toString('latin1', 0, 7) !== 'prompt\0') return -1;
  if (type !== 'iTXt') return 7;
  // Whether compressed, method, language, translated name, text.
  if (data[7] !== 0) return -1;
  const languageEnd = data.indexOf(0, 9);
  const translationEnd = data.indexOf(0, languageEnd + 1);
  return languageEnd < 0 || translationEnd < 0 ? -1 : translationEnd + 1;
}

function pngChunk(type: string, data: Buffer): Buffer<ArrayBuffer> {
  const chunk = Buffer.alloc(data.length + 12);
  chunk.writeUInt32BE(data.length);
  chunk.write(type, 4, 'latin1');
  data.copy(chunk, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, -4)), data.length + 8);
  return chunk;
}

async function rewriteWebp(source: ByteSource, rewrite: Rewrite, splices: Splice[]): Promise<void> {
  for (let at = 12; at + 8 <= source.size;) {
    const head = await source.bytes(at, 8);
    const length = head.readUInt32LE(4);
    const end = at + 8 + length + (length % 2);
    if (head.toString('latin1', 0, 4) === 'EXIF') {
      const changed = rewriteExif(await source.bytes(at + 8, length), rewrite);
      if (changed) {
        const bytes = Buffer.alloc(8 + changed.length + (changed.length % 2));
        bytes.write('EXIF', 'latin1');
        bytes.writeUInt32LE(changed.length, 4);
        changed.copy(bytes, 8);
        splices.push({ start: at, end: Math.min(end, source.size), bytes });
      }
    }
    at = end;
  }
  if (splices.length === 0) return;
  const growth = splices.reduce(
    (sum, { start, end, bytes }) => sum + bytes.length - end + start,
    0,
  );
  const riffLength = Buffer.alloc(4);
  riffLength.writeUInt32LE((await source.bytes(4, 4)).readUInt32LE() + growth);
  splices.unshift({ start: 4, end: 8, bytes: riffLength });
}

async function rewriteJpeg(source: ByteSource, rewrite: Rewrite, splices: Splice[]): Promise<void> {
  for (let at = 2; at + 4 <= source.size;) {
    const head = await source.bytes(at, 4);
    const marker = head.readUInt8(1);
    if (head.readUInt8(0) !== 0xff) throw new DamagedFile('has no segment where one must begin');
    if (marker === START_OF_SCAN) return;
    const end = at + 2 + Math.max(head.readUInt16BE(2), 2);
    if (marker === APP1) {
      const data = await source.bytes(at + 4, end - at - 4);
      const isExif = data.toString('latin1', 0, 6) === 'Exif\0\0';
      const changed = isExif ? rewriteExif(data, rewrite) : undefined;
      if (changed && changed.length + 2 <= 0xffff) {
        const bytes = Buffer.concat([Buffer.from([0xff, APP1, 0, 0]), changed]);
        bytes.writeUInt16BE(changed.length + 2, 2);
        splices.push({ start: at, end, bytes });
      }
    }
    at = end;
  }
}

const TEXT_CHUNKS: ReadonlySet<string> = new Set(['tEXt', 'iTXt', 'comf']);
const APP1 = 0xe1;
const START_OF_SCAN = 0xda;
