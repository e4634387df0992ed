/**
 * A WebM file. A lossy WebP image contains a VP8 key frame, so sharp can encode a video that consists of key frames.
 * Element ids are from RFC 9559.
 */

import sharp from 'sharp';
import type { ImageBatch } from '../nodes/node.ts';

export async function encodeWebm(images: ImageBatch, fps: number): Promise<Buffer> {
  const frames = await Promise.all(images.frames.map((frame) => keyFrame(images, frame)));
  const clusters = frames.map((frame, at) => cluster(frame, Math.round((at * 1000) / fps)));
  const duration = Math.round((frames.length * 1000) / fps);
  return Buffer.concat([
    element(0x1a45dfa3, element(0x4282, Buffer.from('webm')), element(0x4287, uint(2))),
    element(0x18538067, info(duration), tracks(images), ...clusters),
  ]);
}

/** The `VP8 ` chunk of a WebP file in the simple format: after 20 bytes of headers, with the length in its header. */
async function keyFrame(
  { width, height, channels }: ImageBatch,
  frame: Uint8Array,
): Promise<Buffer> {
  const picture = sharp(frame, { raw: { width, height, channels } }).removeAlpha();
  const webp = await picture.webp({ quality: 80 }).toBuffer();
  return webp.subarray(20, 20 + webp.readUInt32LE(16));
}

function info(durationMs: number): Buffer {
  const duration = Buffer.alloc(8);
  duration.writeDoubleBE(durationMs);
  const app = Buffer.from('comfyui-worker simulator');
  return element(
    0x1549a966,
    element(0x2ad7b1, uint(1_000_000)), // times are in milliseconds
    element(0x4489, duration),
    element(0x4d80, app),
    element(0x5741, app),
  );
}

function tracks({ width, height }: ImageBatch): Buffer {
  const video = element(0xe0, element(0xb0, uint(width)), element(0xba, uint(height)));
  const codec = element(0x86, Buffer.from('V_VP8'));
  const entry = [element(0xd7, uint(1)), element(0x73c5, uint(1)), element(0x83, uint(1))];
  return element(0x1654ae6b, element(0xae, ...entry, codec, video));
}

function cluster(frame: Buffer, timeMs: number): Buffer {
  const block = [Buffer.from([0x81, 0, 0, 0x80]), frame];
  return element(0x1f43b675, element(0xe7, uint(timeMs)), element(0xa3, ...block));
}

function element(id: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE((1n << 56n) | BigInt(content.length));
  return Buffer.concat([uint(id), size, content]);
}

/** The number in as many bytes as it needs, big-endian. */
function uint(value: number): Buffer {
  const digits = value.toString(16);
  return Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex');
}
