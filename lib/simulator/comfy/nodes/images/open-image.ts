import { open, readFile } from 'node:fs/promises';
import sharp, { type Sharp, type SharpOptions } from 'sharp';
import { decodeBmp } from '../../encoders/bmp.ts';
import { pyRepr, PythonError } from '../../python/python-text.ts';

/**
 * Opens an image file as Pillow does: BMP is read, SVG is not.
 * @throws PythonError for a file that is no image.
 */
export async function openImage(path: string, options?: SharpOptions): Promise<Sharp> {
  if ((await firstBytes(path)).startsWith('BM')) {
    const { data, ...raw } = decodeBmp(await readFile(path)) ?? unidentified(path);
    return sharp(data, { raw });
  }
  const image = sharp(path, options);
  const { format } = await image.metadata().catch(() => unidentified(path));
  return format === 'svg' ? unidentified(path) : image;
}

async function firstBytes(path: string): Promise<string> {
  await using file = await open(path);
  if ((await file.stat()).isDirectory()) {
    throw new PythonError('IsADirectoryError', `[Errno 21] Is a directory: ${pyRepr(path)}`);
  }
  const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0);
  return buffer.toString('latin1', 0, bytesRead);
}

function unidentified(path: string): never {
  throw new PythonError('PIL.UnidentifiedImageError', `cannot identify image file ${pyRepr(path)}`);
}
