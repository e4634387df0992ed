/** FLAC without compression: verbatim blocks, and constant blocks for silence. RFC 9639. */

import { BitWriter } from './bit-writer.ts';

export interface Sound {
  readonly sampleRate: number;
  /** 16-bit samples by channel; all channels have the same length. */
  readonly channels: readonly Int16Array[];
}

const BLOCK = 4096;

export function encodeFlac({ sampleRate, channels }: Sound): Buffer {
  const length = channels[0]?.length ?? 0;
  const frames = Array.from({ length: Math.ceil(length / BLOCK) }, (_, at) =>
    frame(
      channels.map((samples) => samples.subarray(at * BLOCK, (at + 1) * BLOCK)),
      at,
    ),
  );
  return Buffer.concat([streamInfo(sampleRate, channels.length, length), ...frames]);
}

/** The STREAMINFO block, the only metadata. Frame sizes and the MD5 sum are left unknown (zero). */
function streamInfo(sampleRate: number, channels: number, length: number): Buffer {
  const bits = new BitWriter().bits(0x80, 8).bits(34, 24);
  bits.bits(BLOCK, 16).bits(BLOCK, 16).bits(0, 48).bits(sampleRate, 20);
  bits
    .bits(channels - 1, 3)
    .bits(15, 5)
    .bits(length, 36)
    .bits(0, 128);
  return Buffer.concat([Buffer.from('fLaC'), bits.toBytes()]);
}

function frame(channels: readonly Int16Array[], number: number): Buffer {
  const length = channels[0]?.length ?? 0;
  const bits = new BitWriter().bits(0xfff8, 16);
  // block size in 16 bits at the end of the header; sample rate from STREAMINFO; 16 bits per sample
  bits
    .bits(0x7, 4)
    .bits(0, 4)
    .bits(channels.length - 1, 4)
    .bits(0b1000, 4);
  const head = Buffer.concat([bits.toBytes(), utf8(number), u16(length - 1)]);
  const body = Buffer.concat([head, Buffer.from([crc(head, CRC8)]), ...channels.map(subframe)]);
  return Buffer.concat([body, u16(crc(body, CRC16))]);
}

function subframe(samples: Int16Array): Buffer {
  const [first = 0] = samples;
  if (samples.every((sample) => sample === first)) return subframeOf(CONSTANT, [first]);
  return subframeOf(VERBATIM, samples);
}

const CONSTANT = 0;
const VERBATIM = 2;

function subframeOf(kind: number, samples: Iterable<number>): Buffer {
  return Buffer.concat([
    Buffer.from([kind]),
    ...Array.from(samples, (sample) => u16(sample & 0xffff)),
  ]);
}

function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 255]);
}

/** Frame numbers are coded like code points in UTF-8. */
const utf8 = (number: number) => Buffer.from(String.fromCodePoint(number));

const CRC8 = { width: 8, polynomial: 0x07 };
const CRC16 = { width: 16, polynomial: 0x8005 };

function crc(bytes: Buffer, { width, polynomial }: typeof CRC8): number {
  const top = 1 << (width - 1);
  let sum = 0;
  for (const byte of bytes) {
    sum ^= byte << (width - 8);
    for (let bit = 0; bit < 8; bit++) sum = (sum << 1) ^ (sum & top ? polynomial : 0);
    sum &= 2 * top - 1;
  }
  return sum;
}
