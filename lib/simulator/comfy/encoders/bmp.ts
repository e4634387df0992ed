/** Pixels of a BMP file, rows from the top left. */
export interface Bitmap {
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
  readonly data: Buffer;
}

/**
 * Reads an uncompressed Windows bitmap: 1, 4 or 8 bits with a palette, or 16, 24 or 32 bits. Undefined for another file
 * or a compressed one.
 */
export function decodeBmp(file: Buffer): Bitmap | undefined {
  if (file.length < 54 || file.toString('latin1', 0, 2) !== 'BM') return undefined;
  const header = file.readUInt32LE(14);
  const [width, signedHeight] = [file.readInt32LE(18), file.readInt32LE(22)];
  const [bits, compression] = [file.readUInt16LE(28), file.readUInt32LE(30)];
  const height = Math.abs(signedHeight);
  if (header < 40 || width <= 0 || height === 0) return undefined;
  if (compression !== NONE && compression !== BIT_FIELDS) return undefined;
  const start = file.readUInt32LE(10);
  const stride = Math.ceil((width * bits) / 32) * 4;
  if (file.length < start + stride * height) return undefined;
  const read = pixelReader(file, { header, bits, hasMasks: compression === BIT_FIELDS });
  if (!read) return undefined;
  const data = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++) {
    const row = start + stride * (signedHeight > 0 ? height - 1 - y : y);
    for (let x = 0; x < width; x++) {
      const [red, green, blue] = read(row, x);
      data.set([red, green, blue], (y * width + x) * 3);
    }
  }
  return { width, height, channels: 3, data };
}

const NONE = 0;
const BIT_FIELDS = 3;

type Color = readonly [red: number, green: number, blue: number];
type ReadPixel = (row: number, x: number) => Color;

function pixelReader(
  file: Buffer,
  {
    header,
    bits,
    hasMasks,
  }: { readonly header: number; readonly bits: number; readonly hasMasks: boolean },
): ReadPixel | undefined {
  const bgrAt = (at: number): Color => [file[at + 2] ?? 0, file[at + 1] ?? 0, file[at] ?? 0];
  switch (bits) {
    case 1:
    case 4:
    case 8: {
      const perByte = 8 / bits;
      return (row, x) => {
        const byte = file[row + Math.floor(x / perByte)] ?? 0;
        const index = (byte >> (8 - bits * ((x % perByte) + 1))) & (2 ** bits - 1);
        return bgrAt(14 + header + 4 * index);
      };
    }
    case 24:
      return (row, x) => bgrAt(row + 3 * x);
    case 16:
    case 32: {
      const masks = hasMasks ? [54, 58, 62].map((at) => file.readUInt32LE(at)) : MASKS[bits];
      const value = (at: number) => (bits === 16 ? file.readUInt16LE(at) : file.readUInt32LE(at));
      const part = (pixel: number, mask = 0) =>
        mask === 0 ? 0 : Math.round((((pixel & mask) >>> 0) / mask) * 255);
      return (row, x) => {
        const pixel = value(row + (bits / 8) * x);
        return [part(pixel, masks[0]), part(pixel, masks[1]), part(pixel, masks[2])];
      };
    }
    default:
      return undefined;
  }
}

const MASKS = {
  16: [0x7c00, 0x03e0, 0x001f],
  32: [0x00ff0000, 0x0000ff00, 0x000000ff],
} as const;
