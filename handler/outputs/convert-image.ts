import { openAsBlob } from 'node:fs';
import { extname } from 'node:path';
import type { Metadata, Sharp } from 'sharp';
import type { Artifact } from './artifact.ts';
import { comfyExif } from './convert-metadata.ts';
import type { Conversion, Format } from './conversion.ts';

export interface ConvertLimits {
  /** Of a picture as it came. */
  readonly maxBytes: number;
  /** Of all frames together. */
  readonly maxPixels: number;
  readonly timeoutMs: number;
}

export interface Converted {
  readonly artifact: Artifact;
  /** What was lost although the picture is there. */
  readonly problem?: string;
}

/**
 * One picture in another form, in a new file. sharp works in threads of its own.
 * @throws Error saying why the picture cannot be converted; nothing that moves is made to stand still.
 */
export async function convertImage(
  artifact: Artifact,
  conversion: Conversion,
  { newPath, limits }: { readonly newPath: () => Promise<string>; readonly limits: ConvertLimits },
): Promise<Converted> {
  const { content, filename } = artifact;
  if (content.size > limits.maxBytes)
    throw new Error(`it has ${content.size} bytes, more than the ${limits.maxBytes} allowed`);
  const { default: sharp } = await import('sharp');
  const source = Buffer.from(await content.arrayBuffer());
  const options = { animated: true, limitInputPixels: limits.maxPixels };
  const metadata = await sharp(source, options).metadata();
  const format = targetFormat(artifact, conversion, metadata);
  const { exif, problem } = comfyExif(metadata, format, conversion);

  const picture = sharp(source, options).timeout({ seconds: Math.ceil(limits.timeoutMs / 1000) });
  const path = await newPath();
  if (conversion.keepMetadata) picture.keepMetadata();
  if (exif) picture.withExifMerge(exif);
  await encode(prepare(picture, conversion, { format, metadata }), format, conversion).toFile(path);
  return {
    artifact: {
      ...artifact,
      content: await openAsBlob(path),
      filename: renamed(filename, format),
      mediaType: `image/${format}`,
    },
    ...(problem === undefined ? {} : { problem }),
  };
}

/** @throws Error for a picture whose frames the target cannot hold, or sharp does not read. */
function targetFormat({ mediaType }: Artifact, { format }: Conversion, metadata: Metadata): Format {
  const target = format ?? ownFormat(metadata);
  if (target === undefined) throw new Error(`${mediaType} cannot be written; choose a format`);
  if (mediaType === 'image/apng') throw new Error('the frames of an animated PNG would be lost');
  const isAnimated = (metadata.pages ?? 1) > 1;
  if (isAnimated && target !== 'webp' && target !== 'gif')
    throw new Error(`it has ${metadata.pages} frames, and ${target} holds one; choose webp`);
  return target;
}

function ownFormat({ format, compression }: Metadata): Format | undefined {
  if (format === 'heif') return compression === 'av1' ? 'avif' : undefined;
  return WRITTEN.find((known) => known === format);
}

interface Target {
  readonly format: Format;
  readonly metadata: Metadata;
}

/** Turned upright first, because the note that says how to turn it may go. */
function prepare(picture: Sharp, conversion: Conversion, { format, metadata }: Target): Sharp {
  if ((metadata.orientation ?? 1) > 1) picture.autoOrient();
  const { maxWidth: width, maxHeight: height } = conversion;
  if (width !== undefined || height !== undefined)
    picture.resize({
      ...(width === undefined ? {} : { width }),
      ...(height === undefined ? {} : { height }),
      fit: 'inside',
      withoutEnlargement: true,
    });
  if (format === 'jpeg') picture.flatten({ background: 'white' });
  if (format === 'png' && metadata.depth === 'ushort') picture.toColourspace('rgb16');
  return picture;
}

/** PNG and GIF have no quality: sharp would take it as leave to drop colours. */
function encode(picture: Sharp, format: Format, { quality, lossless }: Conversion): Sharp {
  const asked = quality === undefined ? {} : { quality };
  switch (format) {
    case 'webp':
      return picture.webp({ ...asked, lossless: lossless ?? false });
    case 'avif':
      return picture.avif({ ...asked, lossless: lossless ?? false });
    case 'jpeg':
      return picture.jpeg(lossless ? { quality: 100, chromaSubsampling: '4:4:4' } : asked);
    case 'png':
      return picture.png();
    case 'gif':
      return picture.gif();
  }
}

/** `a.png` → `a.webp`; a name that says the right thing already stays. */
function renamed(filename: string, format: Format): string {
  const ending = extname(filename);
  if (ENDINGS[format].includes(ending.toLowerCase())) return filename;
  return `${ending === '' ? filename : filename.slice(0, -ending.length)}${ENDINGS[format][0]}`;
}

const WRITTEN: readonly Format[] = ['webp', 'jpeg', 'png', 'gif'];

const ENDINGS: Readonly<Record<Format, readonly [string, ...string[]]>> = {
  webp: ['.webp'],
  jpeg: ['.jpg', '.jpeg'],
  png: ['.png'],
  avif: ['.avif'],
  gif: ['.gif'],
};
