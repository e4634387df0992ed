/** An MP4 file with one video track. ISO/IEC 14496-12. The time unit is 1 ms. */

import type { ImageBatch } from '../nodes/node.ts';
import { encodeH264, PROFILE, type H264 } from './h264.ts';

export function encodeMp4(images: ImageBatch, fps: number): Buffer {
  const video = encodeH264(images);
  const samples = video.frames.map((frame) => Buffer.concat([u32(frame.length), frame]));
  const start = FILE_TYPE.length + movie(video, { samples, fps, start: 0 }).length + 8;
  return Buffer.concat([FILE_TYPE, movie(video, { samples, fps, start }), box('mdat', ...samples)]);
}

interface Track {
  readonly samples: readonly Buffer[];
  readonly fps: number;
  /** Offset of the first sample in the file. */
  readonly start: number;
}

const TIMESCALE = 1000;

function movie(video: H264, track: Track): Buffer {
  const duration = track.samples.length * frameTime(track.fps);
  const header = [u32(0, 0, TIMESCALE, duration, 0x10000), Buffer.from([1, 0]), zeros(10), MATRIX];
  return box(
    'moov',
    full('mvhd', 0, ...header, zeros(24), u32(2)),
    box('trak', trackHeader(video, duration), media(video, track, duration)),
  );
}

const frameTime = (fps: number) => Math.max(1, Math.round(TIMESCALE / fps));

function trackHeader({ width, height }: H264, duration: number): Buffer {
  const size = u32(width * 0x10000, height * 0x10000);
  return full('tkhd', 3, u32(0, 0, 1, 0, duration), zeros(16), MATRIX, size);
}

function media(video: H264, track: Track, duration: number): Buffer {
  const handler = [u32(0), Buffer.from('vide'), zeros(12), Buffer.from('video\0')];
  const here = box('dinf', full('dref', 0, u32(1), full('url ', 1)));
  return box(
    'mdia',
    full('mdhd', 0, u32(0, 0, TIMESCALE, duration), Buffer.from([0x55, 0xc4, 0, 0])),
    full('hdlr', 0, ...handler),
    box('minf', full('vmhd', 1, zeros(8)), here, sampleTable(video, track)),
  );
}

/** All samples are in one chunk. */
function sampleTable(video: H264, { samples, fps, start }: Track): Buffer {
  const sizes = samples.map((sample) => sample.length);
  return box(
    'stbl',
    full('stsd', 0, u32(1), sampleEntry(video)),
    full('stts', 0, u32(1, samples.length, frameTime(fps))),
    full('stsc', 0, u32(1, 1, samples.length, 1)),
    full('stsz', 0, u32(0, samples.length, ...sizes)),
    full('stco', 0, u32(1, start)),
  );
}

function sampleEntry({ sequence, picture, width, height }: H264): Buffer {
  const { idc, constraints, level } = PROFILE;
  const configuration = box(
    'avcC',
    Buffer.from([1, idc, constraints, level, 0xff, 0xe1]),
    ...[u16(sequence.length), sequence, Buffer.from([1]), u16(picture.length), picture],
  );
  const resolution = u32(0x480000, 0x480000, 0);
  const shape = [u16(width, height), resolution, u16(1), zeros(32), u16(0x18, 0xffff)];
  return box('avc1', zeros(6), u16(1), zeros(16), ...shape, configuration);
}

function box(type: string, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([u32(content.length + 8), Buffer.from(type, 'latin1'), content]);
}

/** A box with version 0 and flags. */
function full(type: string, flags: number, ...parts: readonly Buffer[]): Buffer {
  return box(type, u32(flags), ...parts);
}

function u32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [at, value] of values.entries()) bytes.writeUInt32BE(value, 4 * at);
  return bytes;
}

function u16(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(2 * values.length);
  for (const [at, value] of values.entries()) bytes.writeUInt16BE(value, 2 * at);
  return bytes;
}

const zeros = (count: number) => Buffer.alloc(count);

const FILE_TYPE = box('ftyp', Buffer.from('isom'), u32(0x200), Buffer.from('isomiso2avc1mp41'));

/** The identity matrix: neither rotated nor scaled. */
const MATRIX = u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000);
