import { z } from 'zod';
import { valueOf } from '../json-body.ts';
import type { EncodedResult } from '../queues/queue.ts';

const ImageSchema = z.object({ filename: z.string(), type: z.string(), data: z.string() });

/** One image, or other file, of a result: `data` is base64, or where to fetch it. */
export type Image = z.infer<typeof ImageSchema>;

const files = z.array(ImageSchema).optional().catch(undefined);

const OutputSchema = z.object({
  images: files,
  videos: files,
  audio: files,
  files,
  errors: z.array(z.string()).optional().catch(undefined),
  details: z.array(z.string()).optional().catch(undefined),
});

/** What an output holds for people: images and other files, and what went wrong beside them. */
export function readOutput(output: unknown): { images: Image[]; problems: string[] } {
  const {
    images,
    videos,
    audio,
    files,
    errors = [],
    details = [],
  } = OutputSchema.safeParse(output).data ?? {};
  const all = [images, videos, audio, files].flatMap((some) => some ?? []);
  return { images: all, problems: [...errors, ...details] };
}

export function imagesOf({ output }: EncodedResult): Image[] {
  return readOutput(output && valueOf(output)).images;
}

export const isLink = ({ data }: Image): boolean => /^https?:\/\//i.test(data);
