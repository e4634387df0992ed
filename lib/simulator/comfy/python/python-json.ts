import { JsonText } from '../../../json.ts';

/**
 * JSON as Python reads and writes it, because ComfyUI's answers depend on it: key order is kept, `1` and `1.0` are
 * different, integers are unlimited, and `NaN` is written bare.
 */
export type PyValue = null | boolean | number | bigint | string | PyFloat | PyValue[] | PyDict;
export type PyDict = Map<string, PyValue>;

/** A Python float; a plain number or bigint is a Python int. */
export class PyFloat {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }

  valueOf(): number {
    return this.value;
  }
}

/** JSON text that is copied into a larger document unchanged. */
export class RawJson {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** @throws SyntaxError for text that is not JSON. */
export function readJson(text: string): PyValue {
  return read(JsonText.parse(text));
}

function read(json: JsonText): PyValue {
  switch (json.kind) {
    case 'object':
      return new Map(json.entries().map(([key, member]) => [key, read(member)]));
    case 'array':
      return json.items().map(read);
    case 'number':
      return readNumber(json.text);
    case 'string':
    case 'boolean':
    case 'null':
      return json.value() as string | boolean | null;
  }
}

function readNumber(text: string): PyValue {
  if (!/^-?\d+$/.test(text)) return new PyFloat(Number(text));
  return toInt(BigInt(text));
}

/** A Python int: a number if it is safe, otherwise a bigint. */
export function toInt(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/**
 * Writes Python values, plain JavaScript values and {@link RawJson} like Python's `json.dumps`: a space after each comma
 * and colon, non-ASCII characters escaped. `undefined` members are left out.
 */
export function writeJson(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return quoted(value);
    case 'number':
      return Number.isInteger(value) ? String(value) : floatText(value);
    case 'bigint':
    case 'boolean':
      return String(value);
    case 'object':
      return writeObject(value);
    default:
      throw new TypeError(`A ${typeof value} cannot be written as JSON`);
  }
}

function writeObject(value: object | null): string {
  if (value === null) return 'null';
  if (value instanceof RawJson) return value.text;
  if (value instanceof PyFloat) return floatText(value.value);
  if (Array.isArray(value)) return `[${value.map(writeJson).join(', ')}]`;
  if ('toJSON' in value) return JSON.stringify(value);
  const entries: Iterable<[string, unknown]> =
    value instanceof Map ? (value as Map<string, unknown>) : Object.entries(value);
  const members: string[] = [];
  for (const [key, member] of entries) {
    if (member !== undefined) members.push(`${quoted(key)}: ${writeJson(member)}`);
  }
  return `{${members.join(', ')}}`;
}

function quoted(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** A float as Python prints it: `1.0`, `1e-05`, `1e+16`, `NaN`. */
export function floatText(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const magnitude = Math.abs(value);
  if (magnitude !== 0 && (magnitude < 1e-4 || magnitude >= 1e16)) return exponentText(value);
  if (Object.is(value, -0)) return '-0.0';
  const text = value.toString();
  return text.includes('.') ? text : `${text}.0`;
}

function exponentText(value: number): string {
  const [digits, exponent] = value.toExponential().split('e') as [string, string];
  return `${digits}e${exponent[0]}${exponent.slice(1).padStart(2, '0')}`;
}

/** The value as a plain JavaScript value, for nodes. Large integers stay bigints; floats become numbers unless they are kept. */
export function toPlain(value: PyValue, { keepFloats = false } = {}): unknown {
  if (value instanceof PyFloat) return keepFloats ? value : value.value;
  if (Array.isArray(value)) return value.map((item) => toPlain(item, { keepFloats }));
  if (value instanceof Map) {
    const members = [...value].map(([key, item]) => [key, toPlain(item, { keepFloats })] as const);
    return Object.fromEntries(members);
  }
  return value;
}
