/**
 * H.264 without compression: every frame is a key frame, and every macroblock contains its raw samples (I_PCM). The file
 * is large, but every player can show it. ITU-T H.264, sections 7.3.2 and 7.3.5.
 */

import { BitWriter } from './bit-writer.ts';
import type { ImageBatch } from '../nodes/node.ts';

export interface H264 {
  /** The parameter sets, without start codes. */
  readonly sequence: Buffer;
  readonly picture: Buffer;
  /** One NAL unit per frame, without start codes. */
  readonly frames: readonly Buffer[];
  /** Even, because two pixels share their colour samples. */
  readonly width: number;
  readonly height: number;
}

export const PROFILE = { idc: 66, constraints: 0xc0, level: 51 } as const;

export function encodeH264(images: ImageBatch): H264 {
  const frames = images.frames.map((frame) => toYuv(images, frame));
  const width = 2 * Math.ceil(images.width / 2);
  const height = 2 * Math.ceil(images.height / 2);
  return {
    sequence: sequenceSet(width, height),
    picture: pictureSet(),
    frames: frames.map(encodeFrame),
    width,
    height,
  };
}

function sequenceSet(width: number, height: number): Buffer {
  const columns = Math.ceil(width / 16);
  const rows = Math.ceil(height / 16);
  const cut = [(16 * columns - width) / 2, (16 * rows - height) / 2] as const;
  const bits = new BitWriter().bits(PROFILE.idc, 8).bits(PROFILE.constraints, 8);
  // id, length of frame numbers, output order equals coding order, one reference frame
  bits.bits(PROFILE.level, 8).golomb(0, 0, 2, 1).bits(0, 1);
  bits.golomb(columns - 1, rows - 1);
  // frames only (no fields), direct inference, cropping, no VUI
  bits.bits(0b11, 2).bits(1, 1).golomb(0, cut[0], 0, cut[1]).bits(0, 1);
  return unit(0x67, bits.stop().toBytes());
}

function pictureSet(): Buffer {
  const bits = new BitWriter();
  // ids; CAVLC; one slice group, no references; no weighted prediction; default quantisation
  bits.golomb(0, 0).bits(0, 2).golomb(0, 0, 0).bits(0, 3).golomb(0, 0, 0);
  // deblocking is controlled in the slice header
  return unit(0x68, bits.bits(0b100, 3).stop().toBytes());
}

function encodeFrame({ columns, rows, macroblocks }: YuvFrame, at: number): Buffer {
  const header = new BitWriter().golomb(0, 7, 0).bits(0, 4);
  // consecutive IDR frames must have different ids; no deblocking
  header
    .golomb(at % 2)
    .bits(0, 2)
    .golomb(0, 1);
  const first = header.golomb(I_PCM).align().toBytes();
  const next = new BitWriter().golomb(I_PCM).align().toBytes();
  const parts = [first];
  for (let block = 0; block < columns * rows; block++) {
    if (block > 0) parts.push(next);
    parts.push(macroblocks.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES));
  }
  return unit(0x65, Buffer.concat([...parts, STOP]));
}

const I_PCM = 25;
const STOP = Buffer.from([0x80]);

/** 16x16 luma samples and twice 8x8 chroma samples. */
const BLOCK_BYTES = 256 + 64 + 64;

/** Emulation prevention: a 3 is inserted where two zero bytes and a small byte would look like a start code. */
function unit(type: number, payload: Buffer): Buffer {
  const escaped = payload.toString('latin1').replace(/\0\0(?=[\0-\x03])/g, '\0\0\x03');
  return Buffer.concat([Buffer.from([type]), Buffer.from(escaped, 'latin1')]);
}

/** The samples of each macroblock of a frame: 256 luma, 64 blue-difference, 64 red-difference. */
interface YuvFrame {
  readonly columns: number;
  readonly rows: number;
  readonly macroblocks: Buffer;
}

type Rgb = readonly [red: number, green: number, blue: number];
type Size = Pick<ImageBatch, 'width' | 'height' | 'channels'>;

/** BT.601 with limited range, so that no sample is zero. Border pixels are repeated outside the frame. */
function toYuv(size: Size, frame: Uint8Array): YuvFrame {
  const columns = Math.ceil(size.width / 16);
  const rows = Math.ceil(size.height / 16);
  const samples: number[] = [];
  const pixel = pixelReader(size, frame);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      addBlock(samples, (x, y) => pixel(16 * column + x, 16 * row + y));
    }
  }
  return { columns, rows, macroblocks: Buffer.from(samples) };
}

function addBlock(samples: number[], pixel: (x: number, y: number) => Rgb): void {
  for (let at = 0; at < 256; at++) samples.push(light(pixel(at % 16, at >> 4)));
  const corners = Array.from({ length: 64 }, (_, at) => pixel(2 * (at % 8), 2 * (at >> 3)));
  for (const corner of corners) samples.push(blueness(corner));
  for (const corner of corners) samples.push(redness(corner));
}

function pixelReader({ width, height, channels }: Size, frame: Uint8Array) {
  return (x: number, y: number): Rgb => {
    const at = channels * (Math.min(y, height - 1) * width + Math.min(x, width - 1));
    return [frame[at] ?? 0, frame[at + 1] ?? 0, frame[at + 2] ?? 0];
  };
}

const light = ([r, g, b]: Rgb) => Math.round(16 + 0.2568 * r + 0.5041 * g + 0.0979 * b);
const blueness = ([r, g, b]: Rgb) => Math.round(128 - 0.1482 * r - 0.291 * g + 0.4392 * b);
const redness = ([r, g, b]: Rgb) => Math.round(128 + 0.4392 * r - 0.3678 * g - 0.0714 * b);
