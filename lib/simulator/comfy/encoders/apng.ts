/** Animated PNG: combines several PNGs of the same size and format into one file. PNG, third edition, section 11.3.6. */

import { crc32 } from 'node:zlib';

/** `pngs` are written by sharp and have one size. Each is shown for `1 / fps` seconds, in an endless loop. */
export function encodeApng(pngs: readonly Buffer[], fps: number): Buffer {
  const [first = Buffer.alloc(0)] = pngs;
  const header = readChunks(first).find(({ type }) => type === 'IHDR')?.content ?? first;
  let sequence = 0;
  const frames = pngs.flatMap((png, at) => {
    const data = readChunks(png).filter(({ type }) => type === 'IDAT');
    const control = chunk('fcTL', frameControl(header, sequence++, fps));
    const pieces = data.map(({ content }) =>
      at === 0 ? chunk('IDAT', content) : chunk('fdAT', Buffer.concat([u32(sequence++), content])),
    );
    return [control, ...pieces];
  });
  const animation = chunk('acTL', u32(pngs.length, 0));
  const end = chunk('IEND', Buffer.alloc(0));
  return Buffer.concat([SIGNATURE, chunk('IHDR', header), animation, ...frames, end]);
}

/** Sequence number, size, offset, delay as a fraction; no disposal, no blending. */
function frameControl(header: Buffer, sequence: number, fps: number): Buffer {
  const delay = Buffer.alloc(4);
  delay.writeUInt16BE(Math.min(0xffff, Math.round(1000 / fps)));
  delay.writeUInt16BE(1000, 2);
  return Buffer.concat([u32(sequence), header.subarray(0, 8), u32(0, 0), delay, Buffer.alloc(2)]);
}

interface Chunk {
  readonly type: string;
  readonly content: Buffer;
}

function readChunks(png: Buffer): Chunk[] {
  const chunks: Chunk[] = [];
  for (let at = SIGNATURE.length; at + 12 <= png.length;) {
    const length = png.readUInt32BE(at);
    const type = png.toString('latin1', at + 4, at + 8);
    chunks.push({ type, content: png.subarray(at + 8, at + 8 + length) });
    at += 12 + length;
  }
  return chunks;
}

function chunk(type: string, content: Buffer): Buffer {
  const typed = Buffer.concat([Buffer.from(type, 'latin1'), content]);
  return Buffer.concat([u32(content.length), typed, u32(crc32(typed))]);
}

function u32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [at, value] of values.entries()) bytes.writeUInt32BE(value, 4 * at);
  return bytes;
}

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
