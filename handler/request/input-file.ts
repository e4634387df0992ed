import { z } from 'zod';
import { FileNameSchema, SubfolderSchema } from './input-name.ts';

/** What a file is declared to be. Only `mask` is treated differently; the others are held against what is found. */
const FILE_TYPES = ['image', 'mask', 'video', 'audio', '3d', 'latent', 'file'] as const;

/** An image ComfyUI has, as its upload routes name it. */
const OriginalSchema = z.strictObject({
  filename: FileNameSchema,
  subfolder: SubfolderSchema.default(''),
  type: z.enum(['input', 'output', 'temp']).default('input'),
});

/** One of `input.files`. */
export const InputFileSchema = z
  .strictObject({
    name: FileNameSchema,
    /** Base64, bare or as data URI. */
    data: z.string().optional(),
    /** `http(s)://` or `s3://`. */
    url: z.string().optional(),
    subfolder: SubfolderSchema.default(''),
    type: z.enum(FILE_TYPES).default('file'),
    /** The image a mask belongs to: its transparency is replaced by the mask's. */
    original_ref: OriginalSchema.optional(),
  })
  .superRefine(({ data, url, type, original_ref: original }, context) => {
    if ((data === undefined) === (url === undefined)) {
      context.addIssue('must have either "data" or "url"');
    }
    if ((type === 'mask') !== (original !== undefined)) {
      context.addIssue('a file of the type "mask" needs "original_ref", and no other has it');
    }
  });

export type InputFile = z.infer<typeof InputFileSchema>;
