import { createHash } from 'node:crypto';
import { extname } from 'node:path';
import type { StoredFile } from './storage.ts';

type Named = Pick<StoredFile, 'jobId' | 'nodeId' | 'filename' | 'index'> & {
  /** Hash of what is in it. */
  readonly sha256: string;
};

/**
 * The key of an object. What comes from outside is made safe value by value, so that only the template decides where
 * folders begin; dates are local time, as the month that stands in for a bucket is. A job that is run again gets the same
 * keys for the same files, and other keys for other files.
 */
export function objectKey(template: string, file: Named, nowMs: number): string {
  const values = variablesOf(file, new Date(nowMs));
  const key = template.replace(VARIABLE, (whole, name: string) =>
    isVariable(name) ? safe(values[name]) : whole,
  );
  return key.split('/').filter(Boolean).map(withoutTraversal).join('/');
}

/** What is wrong with a template, or undefined. */
export function keyTemplateProblem(template: string): string | undefined {
  const names = [...template.matchAll(VARIABLE)].map((match) => match[1] ?? '');
  const unknown = names.find((name) => !isVariable(name));
  if (unknown !== undefined) return `does not know {${unknown}}; known are ${KNOWN}`;
  if (/[{}]/.test(template.replace(VARIABLE, '')))
    return 'has a brace that is not closed or opened';
  if (names.some((name) => TELLS_FILES_APART.has(name))) return undefined;
  return 'gives all files of a job the same key; add {random}, {index} or {filename}';
}

/** A folder that callers name, as the beginning of a template: nothing in it is filled in. */
export function withoutVariables(folder: string): string {
  return folder.split('/').map(safe).join('/');
}

/** A name fit for one step of a path. */
export function safeName(name: string): string {
  return withoutTraversal(safe(name)) || '_';
}

/** The bucket of the Python worker, `MM-YY` in local time. */
export function monthBucket(nowMs: number): string {
  const now = new Date(nowMs);
  return `${twoDigits(now.getMonth() + 1)}-${twoDigits(now.getFullYear() % 100)}`;
}

const VARIABLE = /\{(\w+)\}/g;

const VARIABLES = [
  'job_id',
  'filename',
  'name',
  'ext',
  'random',
  'index',
  'date',
  'year',
  'month',
  'day',
] as const;
type Variable = (typeof VARIABLES)[number];

const KNOWN = VARIABLES.map((name) => `{${name}}`).join(', ');
const TELLS_FILES_APART: ReadonlySet<string> = new Set(['random', 'index', 'filename', 'name']);

function isVariable(name: string): name is Variable {
  return (VARIABLES as readonly string[]).includes(name);
}

function variablesOf(file: Named, now: Date): Record<Variable, string> {
  const { jobId, filename, index } = file;
  const suffix = extname(filename);
  const year = String(now.getFullYear());
  const month = twoDigits(now.getMonth() + 1);
  const day = twoDigits(now.getDate());
  return {
    job_id: jobId,
    filename,
    name: filename.slice(0, filename.length - suffix.length),
    ext: suffix.length > 1 ? suffix : '.png',
    random: digitsOf(file),
    index: String(index),
    date: `${year}-${month}-${day}`,
    year,
    month,
    day,
  };
}

/** Eight that look random and are not: from the job, the file's place in it, and its content. */
function digitsOf({ jobId, nodeId = '', filename, index, sha256 }: Named): string {
  const named = JSON.stringify([jobId, nodeId, filename, index, sha256]);
  return createHash('sha256').update(named).digest('hex').slice(0, 8);
}

/** Letters and digits of any script, blanks, and marks that neither URLs nor file systems give a meaning to. */
function safe(value: string): string {
  return value.replace(/[^\p{L}\p{M}\p{N} !'()_.-]/gu, '_');
}

/** `.` and `..` as a folder would be resolved by clients on the way. */
function withoutTraversal(segment: string): string {
  return /^\.+$/.test(segment) ? '_'.repeat(segment.length) : segment;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}
