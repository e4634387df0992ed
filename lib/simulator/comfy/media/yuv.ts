import type { ImageBatch } from '../node.ts';

/** A frame cut into macroblocks, each with its samples: 256 of light, 64 of blue, 64 of red. */
export interface YuvFrame {
  readonly columns: number;
  readonly rows: number;
  readonly macroblocks: Buffer;
}

type Rgb = readonly [red: number, green: number, blue: number];
type Size = Pick<ImageBatch, 'width' | 'height' | 'channels'>;

/** BT.601 in the limited range, so that no sample is zero. Beyond the border its pixels are repeated. */
export function toYuv(size: Size, frame: Uint8Array): YuvFrame {
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
