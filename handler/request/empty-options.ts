import { STORE_FIELDS } from '../../lib/storage/stores.ts';

/**
 * Options that say nothing. Clients that were written for the Python worker, which ignores most options, send `[]`, `""` or
 * null for "none", and API consoles send their examples (`"accessId": "string"`). None of that fails a job.
 */

/** Options for which an empty value counts as absent. `workflow` and `images` have rules of their own. */
const OPTIONS = [
  'params',
  'files',
  'overrides',
  'credentials',
  'output',
  'strict',
  's3Config',
  'extra_pnginfo',
] as const;

/** Options whose members may be null for "not given". In `params` and `overrides` null is a value. */
const WITH_NULLS: ReadonlySet<string> = new Set(['files', 'credentials', 'output', 's3Config']);

/** The input without the options that say nothing. `note` gets a line for each one that a person may have meant. */
export function withoutEmptyOptions(
  input: Readonly<Record<string, unknown>>,
  note: (text: string) => void,
): Record<string, unknown> {
  const kept: Record<string, unknown> = { ...input };
  for (const name of OPTIONS) {
    if (WITH_NULLS.has(name)) kept[name] = withoutNulls(kept[name]);
    if (isEmpty(kept[name])) delete kept[name];
  }
  if (isPlaceholder(input.s3Config)) {
    delete kept.s3Config;
    if ((input.s3Config ?? undefined) !== undefined) note(ignored('input.s3Config'));
  }
  if (isRecord(kept.output)) {
    const output = { ...kept.output };
    for (const name of Object.keys(STORE_FIELDS).filter(
      (field) => field in output && isPlaceholder(output[field]),
    )) {
      delete output[name];
      note(ignored(`input.output.${name}`));
    }
    kept.output = output;
  }
  return kept;
}

/** Whether a destination names none: it is empty, or each of its members is empty or the text `string` of API consoles. */
export function isPlaceholder(value: unknown): boolean {
  if (isEmpty(value)) return true;
  return (
    isRecord(value) &&
    Object.values(value).every((member) => isEmpty(member) || member === 'string')
  );
}

export const ignored = (option: string): string =>
  `${option} is empty or an example, and counts as not given`;

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isRecord(value)) return value;
  const members = Object.entries(value).filter(([, member]) => member !== null);
  return Object.fromEntries(members.map(([name, member]) => [name, withoutNulls(member)]));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
