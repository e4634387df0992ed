import { crc32 } from 'node:zlib';

/**
 * The PNG with a `tEXt` chunk for each entry, right behind its header, where ComfyUI puts a graph. sharp cannot write
 * them under names of one's own.
 */
export function withPngText(
  png: Buffer,
  entries: readonly (readonly [keyword: string, text: string])[],
): Buffer {
  const chunks = entries.map(([keyword, text]) => textChunk(keyword, text));
  return Buffer.concat([png.subarray(0, HEADER_END), ...chunks, png.subarray(HEADER_END)]);
}

/** Eight bytes of signature, then the IHDR chunk: length, type, 13 bytes, checksum. */
const HEADER_END = 8 + 4 + 4 + 13 + 4;

function textChunk(keyword: string, text: string): Buffer {
  const content = Buffer.from(`tEXt${keyword}\0${asciiJson(text)}`, 'latin1');
  const chunk = Buffer.alloc(content.length + 8);
  chunk.writeUInt32BE(content.length - 4, 0);
  content.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(content), content.length + 4);
  return chunk;
}

/** JSON with everything but ASCII escaped, as Python writes it: a `tEXt` chunk cannot hold other characters. */
function asciiJson(text: string): string {
  return text.replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
