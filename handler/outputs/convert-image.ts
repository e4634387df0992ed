import { openAsBlob } from 'node:fs';
import { extname } from 'node:path';
import type { Exif, Metadata, Sharp } from 'sharp';
import type { OutputOptions } from '../request/output-options.ts';
import type { Artifact } from './artifact.ts';

/** `output.convert`: the form that images are converted to. */
export type Conversion = NonNullable<OutputOptions['convert']>;

type Format = 'webp' | 'jpeg' | 'png' | 'avif' | 'gif';

export interface ConvertLimits {
  /** Size of the file before conversion. */
  readonly maxBytes: number;
  /** Pixels of all frames together. */
  readonly maxPixels: number;
  readonly timeoutMs: number;
}

/**
 * Converts one image into a new file at `newPath`. sharp works in its own threads. An animation is never reduced to a
 * still image.
 * @returns the new artifact; `loss` says what could not be kept.
 * @throws Error saying why the image cannot be converted.
 */
export async function convertImage(
  artifact: Artifact,
  conversion: Conversion,
  { newPath, limits }: { readonly newPath: () => Promise<string>; readonly limits: ConvertLimits },
): Promise<{ readonly artifact: Artifact; readonly loss?: string }> {
  const { content, filename } = artifact;
  if (content.size > limits.maxBytes)
    throw new Error(`it has ${content.size} bytes, more than the ${limits.maxBytes} allowed`);
  const { default: sharp } = await import('sharp');
  const source = await content.bytes();
  const options = { animated: true, limitInputPixels: limits.maxPixels };
  const metadata = await sharp(source, options).metadata();
  const format = targetFormat(artifact, conversion, metadata);
  const { exif, loss } = exifFor(metadata, format, conversion);

  const image = sharp(source, options).timeout({ seconds: Math.ceil(limits.timeoutMs / 1000) });
  const path = await newPath();
  if (conversion.keepMetadata) image.keepMetadata();
  if (exif) image.withExifMerge(exif);
  transform(image, conversion, { format, metadata });
  await encode(image, format, conversion).toFile(path);
  return {
    artifact: {
      ...artifact,
      content: await openAsBlob(path),
      filename: withExtension(filename, format),
      mediaType: `image/${format}`,
    },
    ...(loss === undefined ? {} : { loss }),
  };
}

/** @throws Error when sharp cannot write the format, or the format cannot hold all frames. */
function targetFormat({ mediaType }: Artifact, { format }: Conversion, metadata: Metadata): Format {
  const isAvif = metadata.format === 'heif' && metadata.compression === 'av1';
  const own = isAvif ? 'avif' : WRITABLE.find((known) => known === metadata.format);
  const target = format ?? own;
  if (target === undefined) throw new Error(`${mediaType} cannot be written; choose a format`);
  if (mediaType === 'image/apng') throw new Error('the frames of an animated PNG would be lost');
  const isAnimated = (metadata.pages ?? 1) > 1;
  if (isAnimated && target !== 'webp' && target !== 'gif')
    throw new Error(`it has ${metadata.pages} frames, and ${target} holds one; choose webp`);
  return target;
}

/** Rotates first, because the EXIF tag with the orientation may be dropped. */
function transform(
  image: Sharp,
  { maxWidth: width, maxHeight: height }: Conversion,
  { format, metadata }: { readonly format: Format; readonly metadata: Metadata },
): void {
  if ((metadata.orientation ?? 1) > 1) image.autoOrient();
  if (width !== undefined || height !== undefined)
    image.resize({
      ...(width === undefined ? {} : { width }),
      ...(height === undefined ? {} : { height }),
      fit: 'inside',
      withoutEnlargement: true,
    });
  if (format === 'jpeg') image.flatten({ background: 'white' });
  if (format === 'png' && metadata.depth === 'ushort') image.toColourspace('rgb16');
}

/** PNG and GIF get no quality: sharp would reduce their colours. */
function encode(image: Sharp, format: Format, { quality, lossless }: Conversion): Sharp {
  const options = quality === undefined ? {} : { quality };
  switch (format) {
    case 'webp':
      return image.webp({ ...options, lossless: lossless ?? false });
    case 'avif':
      return image.avif({ ...options, lossless: lossless ?? false });
    case 'jpeg':
      return image.jpeg(lossless ? { quality: 100, chromaSubsampling: '4:4:4' } : options);
    case 'png':
      return image.png();
    case 'gif':
      return image.gif();
  }
}

/** `a.png` → `a.webp`; a name with a fitting extension stays. */
function withExtension(filename: string, format: Format): string {
  const extension = extname(filename);
  if (EXTENSIONS[format].includes(extension.toLowerCase())) return filename;
  return `${extension === '' ? filename : filename.slice(0, -extension.length)}${EXTENSIONS[format][0]}`;
}

/** The formats sharp can write, beside AVIF, by its own names. */
const WRITABLE: readonly Format[] = ['webp', 'jpeg', 'png', 'gif'];

const EXTENSIONS: Readonly<Record<Format, readonly [string, ...string[]]>> = {
  webp: ['.webp'],
  jpeg: ['.jpg', '.jpeg'],
  png: ['.png'],
  avif: ['.avif'],
  gif: ['.gif'],
};

/**
 * ComfyUI writes `prompt` and `workflow` as texts into its PNG files. A PNG keeps them. In WebP, JPEG and AVIF they go
 * where ComfyUI itself puts them in WebP (`comfy_extras/nodes_images.py`, `SaveAnimatedWEBP`), so that its editor can
 * open the file: the prompt into the EXIF tag Model, the workflow into Make.
 */
function exifFor(
  { comments = [] }: Metadata,
  format: Format,
  { keepMetadata }: Conversion,
): { readonly exif?: Exif; readonly loss?: string } {
  if (!keepMetadata || format === 'png' || comments.length === 0) return {};
  const texts = new Map(comments.map(({ keyword, text }) => [keyword, text]));
  const tags = Object.entries(EXIF_TAGS).flatMap(([keyword, tag]) => {
    const text = texts.get(keyword);
    return text === undefined ? [] : [[tag, `${keyword}:${text}`] as const];
  });
  const bytes = tags.reduce((sum, [, text]) => sum + Buffer.byteLength(text), 0);
  if (format !== 'gif' && bytes <= MAX_EXIF_BYTES)
    return bytes === 0 ? {} : { exif: { IFD0: Object.fromEntries(tags) } };
  const why = format === 'gif' ? 'GIF has no place for it' : `EXIF holds ${MAX_EXIF_BYTES}`;
  return { loss: `its metadata of ${bytes} bytes was left out: ${why}` };
}

const EXIF_TAGS = { prompt: 'Model', workflow: 'Make' } as const;

/** JPEG keeps EXIF in one segment of 64 KB, and the library that writes EXIF has this limit for every format. */
const MAX_EXIF_BYTES = 60_000;
