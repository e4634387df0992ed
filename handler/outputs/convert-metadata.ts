import type { Exif, Metadata } from 'sharp';
import type { Conversion, Format } from './conversion.ts';

/**
 * ComfyUI writes `prompt` and `workflow` as texts into its PNGs. Another PNG keeps them as they are; WebP, JPEG and AVIF get
 * them where ComfyUI itself puts them into WebP (`comfy_extras/nodes_images.py`, `SaveAnimatedWEBP`): the prompt as EXIF
 * Model, the workflow as EXIF Make, so that its editor opens the file.
 */
export function comfyExif(
  { comments = [] }: Pick<Metadata, 'comments'>,
  format: Format,
  { keepMetadata }: Conversion,
): { readonly exif?: Exif; readonly problem?: string } {
  if (!keepMetadata || format === 'png' || comments.length === 0) return {};
  const texts = new Map(comments.map(({ keyword, text }) => [keyword, text]));
  const tags = Object.entries(TAGS).flatMap(([keyword, tag]) => {
    const text = texts.get(keyword);
    return text === undefined ? [] : [[tag, `${keyword}:${text}`] as const];
  });
  const bytes = tags.reduce((sum, [, text]) => sum + Buffer.byteLength(text), 0);
  if (format !== 'gif' && bytes <= MAX_EXIF_BYTES)
    return bytes === 0 ? {} : { exif: { IFD0: Object.fromEntries(tags) } };
  const why = format === 'gif' ? 'GIF has no place for it' : `EXIF holds ${MAX_EXIF_BYTES}`;
  return { problem: `its metadata of ${bytes} bytes was left out: ${why}` };
}

const TAGS = { prompt: 'Model', workflow: 'Make' } as const;

/** A JPEG keeps EXIF in one segment of 64 KB, and the library that writes it holds to that everywhere. */
const MAX_EXIF_BYTES = 60_000;
