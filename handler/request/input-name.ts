import { z } from 'zod';

/**
 * Names of files and folders within ComfyUI's input folder: none leaves it, and each is stored as it was sent. What is
 * kept out beside path separators is what browsers escape in forms (`"`), and what no file system or log likes.
 */

/** One step of a path. @returns what is wrong with it, or undefined. */
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

/** A relative folder, with `/` between its steps. */
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

const UNSAFE = /["\u0000-\u001f\u007f]/;
const MAX_NAME_BYTES = 255;
