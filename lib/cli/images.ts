import { z } from 'zod';
import { valueOf } from '../json-body.ts';
import type { PostBody } from '../runpod/post-body.ts';

const ImageSchema = z.object({ filename: z.string(), type: z.string(), data: z.string() });

/** One image of a result: `data` is base64, or where to fetch it. */
export type Image = z.infer<typeof ImageSchema>;

const OutputSchema = z.object({
  images: z.array(ImageSchema).optional().catch(undefined),
  errors: z.array(z.string()).optional().catch(undefined),
  details: z.array(z.string()).optional().catch(undefined),
});

/** What an output holds for people: images, and what went wrong beside them. */
export function readOutput(output: unknown): { images: Image[]; problems: string[] } {
  const { images = [], errors = [], details = [] } = OutputSchema.safeParse(output).data ?? {};
  return { images, problems: [...errors, ...details] };
}

export function imagesOf({ output }: PostBody): Image[] {
  return readOutput(output && valueOf(output)).images;
}

export const isLink = ({ data }: Image): boolean => /^https?:\/\//i.test(data);
