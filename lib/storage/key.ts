import { createHash } from 'node:crypto';
import { extname } from 'node:path';
import type { StoredFile } from './storage.ts';

type KeyedFile = Pick<StoredFile, 'jobId' | 'nodeId' | 'filename' | 'uniqueName' | 'index'> & {
  /** Hash of the content. */
  readonly sha256: string;
};

/**
 * The key of an object. Slashes and dots in values are replaced, so only the template creates folders. Dates are local time,
 * like {@link monthBucket}. A job that runs again gets the same keys for the same files, and other keys for other files.
 */
export function objectKey(template: string, file: KeyedFile, nowMs: number): string {
  const values = variablesOf(file, new Date(nowMs));
  const key = template.replace(VARIABLE, (whole, name: string) =>
    isVariable(name) ? safe(values[name]) : whole,
  );
  return key.split('/').filter(Boolean).map(withoutTraversal).join('/');
}

/** The problem of a template, worded to follow its name; undefined if there is none. */
export function keyTemplateProblem(template: string): string | undefined {
  const names = [...template.matchAll(VARIABLE)].map((match) => match[1] ?? '');
  const unknown = names.find((name) => !isVariable(name));
  if (unknown !== undefined) return `does not know {${unknown}}; known are ${KNOWN}`;
  if (/[{}]/.test(template.replace(VARIABLE, '')))
    return 'has a brace that is not closed or opened';
  if (names.some((name) => TELLS_FILES_APART.has(name))) return undefined;
  return 'gives all files of a job the same key; add {random}, {index} or {filename}';
}

/** A folder named by a caller, for the beginning of a template: braces are replaced, so it contains no variables. */
export function withoutVariables(folder: string): string {
  return folder.split('/').map(safe).join('/');
}

/** A name made safe for one segment of a path. */
export function safeName(name: string): string {
  return withoutTraversal(safe(name)) || '_';
}

/** The bucket the Python worker uses: `MM-YY` in local time. */
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

function variablesOf(file: KeyedFile, now: Date): Record<Variable, string> {
  // Two files of a job may have the same name, and must not get the same key.
  const { jobId, uniqueName: filename, index } = file;
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

/** Eight hex digits computed from job, node, name, position and content: they look random but stay the same on a rerun. */
function digitsOf({ jobId, nodeId = '', filename, index, sha256 }: KeyedFile): string {
  const named = JSON.stringify([jobId, nodeId, filename, index, sha256]);
  return createHash('sha256').update(named).digest('hex').slice(0, 8);
}

/** Keeps letters and digits of any script, blanks, and characters without a meaning in URLs and file systems. */
function safe(value: string): string {
  return value.replace(/[^\p{L}\p{M}\p{N} !'()_.-]/gu, '_');
}

/** Replaces `.` and `..`, which clients and servers resolve to other folders. */
function withoutTraversal(segment: string): string {
  return /^\.+$/.test(segment) ? '_'.repeat(segment.length) : segment;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}
