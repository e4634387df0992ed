import { JsonText } from '../../json.ts';
import { readInputGroups, readInputs, type InputInfo } from '../node-info.ts';

/**
 * Inputs whose names and number depend on values (`comfy_api/latest/_io.py`). ComfyUI takes their values under names with
 * dots: `resize.width`, `loras.0.strength`. The editor shows their widgets directly after the widget they depend on.
 */

/** A combo whose choices each bring further inputs. */
export const DYNAMIC_COMBO = 'COMFY_DYNAMICCOMBO_V3';
/** A list of rows with the same inputs. The value is the number of rows, which itself is not sent to ComfyUI. */
export const DYNAMIC_GROUP = 'COMFY_DYNAMICGROUP_V3';
/** A list of inputs that grows when its last one is linked. It has no value of its own. */
export const AUTOGROW = 'COMFY_AUTOGROW_V3';

/** Inputs that depend on a value, and the prefix of their names. */
export interface DependentInputs {
  readonly inputs: readonly InputInfo[];
  readonly prefix: string;
}

/** The inputs that depend on `input`, if its value is `value`. */
export function dependentInputs(
  { type, options }: InputInfo,
  name: string,
  value: JsonText | undefined,
): DependentInputs[] {
  switch (type) {
    case DYNAMIC_COMBO: {
      const chosen = chosenOption(options, value);
      return chosen ? [{ inputs: readInputGroups(chosen.get('inputs')), prefix: `${name}.` }] : [];
    }
    case DYNAMIC_GROUP: {
      const inputs = readInputGroups(options?.get('template'));
      const count = Math.min(rowCount(options, value), MAX_ROWS);
      return Array.from({ length: count }, (_, row) => ({ inputs, prefix: `${name}.${row}.` }));
    }
    default:
      return formatInputs(options, name, value);
  }
}

/**
 * The inputs of a growing list: those with a slot in the file, else as many as it has at least. Most can only be linked;
 * the others have a widget each.
 */
export function grownInputs(
  { options }: InputInfo,
  name: string,
  slots: readonly string[],
): InputInfo[] {
  const template = options?.get('template');
  const [input] = readInputGroups(template?.get('input'));
  if (!input) return [];
  const saved = slots
    .filter((slot) => slot.startsWith(`${name}.`))
    .map((slot) => slot.slice(name.length + 1));
  if (saved.length > 0) return saved.map((own) => ({ ...input, name: own }));
  const names = (template?.get('names')?.items() ?? []).map((own) => own.asString() ?? '');
  const prefix = template?.get('prefix')?.asString() ?? input.name;
  const count = Math.min(Number(template?.get('min')?.text ?? 0), MAX_ROWS);
  return Array.from({ length: count }, (_, index) => ({
    ...input,
    name: names[index] ?? `${prefix}${index}`,
  }));
}

/** Inputs of the chosen video format (VideoHelperSuite): `[name, type, options]`, without a prefix. */
function formatInputs(
  options: JsonText | undefined,
  name: string,
  value: JsonText | undefined,
): DependentInputs[] {
  const inputs = options
    ?.get('formats')
    ?.get(value?.asString() ?? '')
    ?.items()
    .map((declaration) => readInput(declaration));
  return inputs?.length ? [{ inputs, prefix: name.slice(0, name.lastIndexOf('.') + 1) }] : [];
}

function readInput(declaration: JsonText): InputInfo {
  const [name, ...rest] = declaration.items();
  const text = `{${name?.text ?? '""'}:[${rest.map((part) => part.text).join(',')}]}`;
  const [input] = readInputs(JsonText.parse(text), true);
  if (!input) throw new TypeError('An input has a name');
  return input;
}

/** The number of rows of a dynamic group, at least the declared minimum. */
function rowCount(options: JsonText | undefined, value: JsonText | undefined): number {
  const saved = Number(value?.kind === 'number' ? value.text : 0);
  return Math.max(Math.trunc(saved), Number(options?.get('min')?.text ?? 0));
}

/** More rows than any class declares. Protects against a file that asks for millions. */
const MAX_ROWS = 100;

/** Whether a dynamic combo knows the value. If not, the inputs that depend on it are unknown, too. */
export function hasChosenOption({ options }: InputInfo, value: JsonText): boolean {
  return chosenOption(options, value) !== undefined;
}

/** Keys are texts, sometimes numbers. */
function chosenOption(options: JsonText | undefined, value: JsonText | undefined) {
  const choices = options?.get('options')?.items() ?? [];
  return choices.find((choice) => choice.get('key')?.value() === value?.value());
}
