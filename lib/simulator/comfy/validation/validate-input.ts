import { isDeepStrictEqual } from 'node:util';
import type { DeclaredInput } from '../nodes/dynamic-inputs.ts';
import type { Profile } from '../profile.ts';
import type { PyDict, PyValue } from '../python/python-json.ts';
import {
  fromPlain,
  pyBool,
  pyEquals,
  pyFloat,
  pyInt,
  pyRepr,
  pyStr,
  type PythonError,
} from '../python/python-text.ts';

/** One entry of `node_errors[id].errors`. */
export interface Complaint {
  readonly type: string;
  readonly message: string;
  readonly details: string;
  readonly extra_info: Readonly<Record<string, unknown>>;
}

/** An error without details about an input. */
export const complaint = (type: string, message: string, details = ''): Complaint => ({
  type,
  message,
  details,
  extra_info: {},
});

/** An input's declaration as errors quote it: `[type, options]`. */
export function inputConfig(input: DeclaredInput): unknown[] {
  return [input.type, input.options];
}

export function missingInput({ name, label }: DeclaredInput): Complaint {
  return {
    type: 'required_input_missing',
    message: 'Required input is missing',
    details: label,
    extra_info: { input_name: name },
  };
}

export function badLink(input: DeclaredInput, value: PyValue): Complaint {
  return {
    type: 'bad_linked_input',
    message: 'Bad linked input, must be a length-2 list of [node_id, slot_index]',
    details: input.name,
    extra_info: about(input, value),
  };
}

export function typeMismatch(input: DeclaredInput, received: unknown, link: PyValue): Complaint {
  const types = `received_type(${typeText(received)}) mismatch input_type(${typeText(input.type)})`;
  return {
    type: 'return_type_mismatch',
    message: 'Return type mismatch between linked nodes',
    details: `${input.name}, ${types}`,
    extra_info: {
      input_name: input.name,
      input_config: inputConfig(input),
      received_type: received,
      linked_node: link,
    },
  };
}

/**
 * Types are compatible when equal, when one is `*` or follows another input (only the editor checks that), or when lists of
 * types (`INT,FLOAT`) overlap.
 */
export function typesFit(received: unknown, declared: unknown): boolean {
  if (isDeepStrictEqual(received, declared)) return true;
  if ([received, declared].some((type) => type === '*' || type === 'COMFY_MATCHTYPE_V3'))
    return true;
  if (Array.isArray(received) && declared === 'COMBO') return true;
  if (typeof received !== 'string' || typeof declared !== 'string') return false;
  const types = (list: string) => list.split(',').map((type) => type.trim());
  const [from, to] = [types(received), types(declared)];
  return from.includes('*') || to.includes('*') || from.some((type) => to.includes(type));
}

/**
 * Converts a literal to the declared type, in place like ComfyUI: `/queue` and `/history` show the converted value.
 * Returns an error if it cannot be converted.
 */
export function convertLiteral(input: DeclaredInput, inputs: PyDict): Complaint | undefined {
  let value = inputs.get(input.name) ?? null;
  if (value instanceof Map && value.has('__value__')) value = value.get('__value__') ?? null;
  try {
    inputs.set(input.name, converted(input.type, value));
    return undefined;
  } catch (error) {
    const { message } = error as PythonError;
    return {
      type: 'invalid_input_type',
      message: `Failed to convert an input value to a ${typeText(input.type)} value`,
      details: `${input.name}, ${pyStr(value)}, ${message}`,
      extra_info: { ...about(input, value), exception_message: message },
    };
  }
}

function converted(type: unknown, value: PyValue): PyValue {
  switch (type) {
    case 'INT':
      return pyInt(value);
    case 'FLOAT':
      return pyFloat(value);
    case 'STRING':
      return pyStr(value);
    case 'BOOLEAN':
      return pyBool(value);
    default:
      return value;
  }
}

export function checkBounds(input: DeclaredInput, value: PyValue): Complaint | undefined {
  const number = asNumber(value);
  if (number === undefined) return undefined;
  const { min, max } = input.options as { min?: number | bigint; max?: number | bigint };
  if (min !== undefined && number < min) {
    return outOfBounds(
      input,
      value,
      'value_smaller_than_min',
      `smaller than min of ${typeText(min)}`,
    );
  }
  if (max !== undefined && number > max) {
    return outOfBounds(
      input,
      value,
      'value_bigger_than_max',
      `bigger than max of ${typeText(max)}`,
    );
  }
  return undefined;
}

function outOfBounds(input: DeclaredInput, value: PyValue, type: string, how: string): Complaint {
  return {
    type,
    message: `Value ${pyStr(value)} ${how}`,
    details: input.name,
    extra_info: about(input, value),
  };
}

function asNumber(value: PyValue): number | bigint | undefined {
  if (typeof value === 'number' || typeof value === 'bigint') return value;
  if (typeof value !== 'object' || value === null || !('value' in value)) return undefined;
  return value.value;
}

export function checkChoice(
  input: DeclaredInput,
  value: PyValue,
  { quotesChoices }: Profile,
): Complaint | undefined {
  const choices = choicesOf(input);
  if (!choices) return undefined;
  const isMulti = quotesChoices && input.options.multiselect === true && Array.isArray(value);
  const chosen = isMulti ? value : [value];
  const wrong = chosen.filter((one) => !choices.some((choice) => pyEquals(choice, one)));
  if (wrong.length === 0) return undefined;
  const many = choices.length > MAX_LISTED_CHOICES;
  const list = many ? `(list of length ${choices.length})` : pyRepr(choices);
  const quoted = quotesChoices ? wrong.map(pyRepr).join(', ') : `'${pyStr(value)}'`;
  return {
    type: 'value_not_in_list',
    message: 'Value not in list',
    details: `${input.name}: ${quoted} not in ${list}`,
    extra_info: {
      input_name: input.name,
      input_config: many ? null : inputConfig(input),
      received_value: value,
    },
  };
}

function choicesOf({ type, options }: DeclaredInput): PyValue[] | undefined {
  if (Array.isArray(type)) return type.map(fromPlain);
  if (type !== 'COMBO') return undefined;
  return Array.isArray(options.options) ? options.options.map(fromPlain) : [];
}

/** Longer lists are not quoted in errors. */
const MAX_LISTED_CHOICES = 20;

function about(input: DeclaredInput, value: PyValue) {
  return {
    input_name: input.name,
    input_config: inputConfig(input),
    received_value: value,
  };
}

const typeText = (type: unknown) => pyStr(fromPlain(type));
