import { randomBytes } from 'node:crypto';
import sharp from 'sharp';

export interface Picture {
  readonly name: string;
  readonly png: Buffer;
}

/** Incompressible PNGs: about three bytes per pixel. */
export async function noisePictures(name: string, count: number, side: number): Promise<Picture[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, index) => ({
      name: `bench-${name}-${index}.png`,
      png: await noise(side),
    })),
  );
}

function noise(side: number): Promise<Buffer> {
  const raw = { width: side, height: side, channels: 3 } as const;
  return sharp(randomBytes(side * side * 3), { raw })
    .png({ compressionLevel: 1 })
    .toBuffer();
}
