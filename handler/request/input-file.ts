import { z } from 'zod';
import { LongString } from '../../lib/long-strings.ts';

/**
 * Names of files and folders within ComfyUI's input folder. No name can leave that folder, and each file is stored under
 * exactly the name that was sent. Refused beside path separators: `"`, which browsers escape in form fields, and
 * characters that file systems and logs do not take.
 */

const UNSAFE = /["\u0000-\u001f\u007f]/;
const MAX_NAME_BYTES = 255;

/** Checks one file name or one step of a folder. @returns what is wrong with it, or undefined. */
export function problemOfName(name: string): string | undefined {
  if (name.trim() === '') return 'must not be empty';
  if (name === '.' || name === '..') return `must not be "${name}"`;
  if (/[/\\]/.test(name)) return 'must be a name, not a path; folders go into "subfolder"';
  if (UNSAFE.test(name)) return 'must not hold quotes or control characters';
  const bytes = Buffer.byteLength(name);
  return bytes > MAX_NAME_BYTES ? `must be at most 255 bytes long, is ${bytes}` : undefined;
}

export const FileNameSchema = z.string().superRefine((name, context) => {
  const problem = problemOfName(name);
  if (problem !== undefined) context.addIssue(problem);
});

/** A relative folder with `/` between its steps. A `/` at the end is dropped. */
export const SubfolderSchema = z.string().transform((sent, context) => {
  const folder = sent.replace(/\/+$/, '');
  if (folder === '') return folder;
  const problem = folder
    .split('/')
    .map(problemOfName)
    .find((found) => found !== undefined);
  if (problem !== undefined) context.addIssue(`each step of the folder ${problem}`);
  return folder;
});

/** The kind of a file. `mask` is stored differently; for the others it is compared with what the bytes are. */
const FILE_TYPES = ['image', 'mask', 'video', 'audio', '3d', 'latent', 'file'] as const;

/** An image ComfyUI already has, with the field names of its upload routes. */
const OriginalSchema = z.strictObject({
  filename: FileNameSchema,
  subfolder: SubfolderSchema.default(''),
  type: z.enum(['input', 'output', 'temp']).default('input'),
});

/** One entry of `input.files`. */
export const InputFileSchema = z
  .strictObject({
    name: FileNameSchema,
    /** Base64, bare or as data URI. */
    data: z.union([z.string(), z.instanceof(LongString)], 'must be a string').optional(),
    /** `http(s)://` or `s3://`. */
    url: z.string().optional(),
    subfolder: SubfolderSchema.default(''),
    type: z.enum(FILE_TYPES).default('file'),
    /** For a mask: the image whose transparency it replaces. */
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
