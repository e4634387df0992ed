import { z } from 'zod';
import { DEMANDED_STORES, STORE_FIELDS } from '../../lib/storage/stores.ts';

const count = z.int().min(0);
const pixels = z.int().min(1).max(16_384);

const ConvertSchema = z.strictObject({
  format: z.enum(['webp', 'jpeg', 'png', 'avif']).optional(),
  quality: z.int().min(1).max(100).optional(),
  lossless: z.boolean().optional(),
  maxWidth: pixels.optional(),
  maxHeight: pixels.optional(),
  /** Keep the prompt and the workflow that ComfyUI writes into its images. */
  keepMetadata: z.boolean().optional(),
});

/** `input.output`: what comes back, in which form, and where it is stored. Unknown names are refused, because they are typos. */
export const OutputOptionsSchema = z.strictObject({
  /** `mediaType`: sort all files by their media type, also those ComfyUI lists under `images`. */
  groupBy: z.enum(['key', 'mediaType']).optional(),
  details: z.boolean().optional(),
  /** Ids or titles of the nodes whose outputs come back. */
  nodes: z.array(z.union([z.string(), z.int().transform(String)])).optional(),
  includeTemp: z.boolean().optional(),
  /** The least number of each that must come back; with fewer the job fails. */
  expect: z
    .strictObject({
      images: count.optional(),
      videos: count.optional(),
      audio: count.optional(),
      files: count.optional(),
      texts: count.optional(),
    })
    .optional(),
  /** Fail the job if ComfyUI accepts only a part of the workflow. */
  strict: z.boolean().optional(),
  convert: ConvertSchema.optional(),
  delivery: z.enum(['auto', 'inline', ...DEMANDED_STORES]).optional(),
  /** Stores of the caller's own: `azure`, `huggingFace`, `http`, `put`. */
  ...STORE_FIELDS,
});

export type OutputOptions = z.infer<typeof OutputOptionsSchema>;
