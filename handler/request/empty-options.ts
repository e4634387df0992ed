import { STORE_FIELDS } from '../../lib/storage/stores.ts';

/**
 * Options that say nothing. Clients that were written for the Python worker, which ignores most options, send `[]`, `""` or
 * null for "none", and API consoles send their examples (`"accessId": "string"`). None of that fails a job.
 */

/** Options for which an empty value counts as absent. `workflow` and `images` have rules of their own. */
const OPTIONS: ReadonlySet<string> = new Set([
  'params',
  'files',
  'overrides',
  'credentials',
  'output',
  'strict',
  'extra_pnginfo',
]);

/** Options whose members may be null for "not given". In `params` and `overrides` null is a value. */
const WITH_NULLS: ReadonlySet<string> = new Set(['files', 'credentials', 'output', 's3Config']);

/** The input without the options that say nothing. `note` gets a line for each destination that is left out. */
export function withoutEmptyOptions(
  input: Readonly<Record<string, unknown>>,
  note: (text: string) => void,
): Record<string, unknown> {
  const isMeant = ([name, value]: [string, unknown]) => {
    if (name !== 's3Config') return !OPTIONS.has(name) || !isEmpty(value);
    return isMeantDestination(value, { name: 'input.s3Config', note });
  };
  const kept = Object.entries(input).filter(isMeant);
  return Object.fromEntries(
    kept.map(([name, value]) => {
      const plain = WITH_NULLS.has(name) ? withoutNulls(value) : value;
      if (name !== 'output' || !isRecord(plain)) return [name, plain];
      const members = Object.entries(plain).filter(
        ([member, settings]) =>
          !Object.hasOwn(STORE_FIELDS, member) ||
          isMeantDestination(settings, { name: `input.output.${member}`, note }),
      );
      return [name, Object.fromEntries(members)];
    }),
  );
}

/** Whether the settings of a destination are meant. Others are noted, unless they are null. */
export function isMeantDestination(
  settings: unknown,
  { name, note }: { readonly name: string; readonly note?: ((text: string) => void) | undefined },
): boolean {
  if (!isPlaceholder(settings)) return true;
  const isSent = settings !== undefined && settings !== null;
  if (isSent) note?.(`${name} is empty or an example, and counts as not given`);
  return false;
}

/** Whether a destination names none: it, or each of its members, is empty or the text `string` of API consoles. */
function isPlaceholder(value: unknown): boolean {
  if (isUnset(value)) return true;
  return typeof value === 'object' && value !== null && Object.values(value).every(isUnset);
}

const isUnset = (value: unknown) => isEmpty(value) || value === 'string' || value === false;

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
