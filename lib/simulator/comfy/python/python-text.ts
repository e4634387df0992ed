import { floatText, PyFloat, toInt, type PyValue } from './python-json.ts';

/** A Python exception whose type and message ComfyUI shows to callers. */
export class PythonError extends Error {
  readonly type: string;

  constructor(type: string, message: string) {
    super(message);
    this.name = type;
    this.type = type;
  }
}

/** `str(value)`, as in f-strings. */
export function pyStr(value: PyValue): string {
  return typeof value === 'string' ? value : pyRepr(value);
}

/** `repr(value)`. */
export function pyRepr(value: PyValue): string {
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'string') return quoted(value);
  if (value instanceof PyFloat) return floatRepr(value.value);
  if (Array.isArray(value)) return `[${value.map(pyRepr).join(', ')}]`;
  if (value instanceof Map) {
    return `{${[...value].map(([key, member]) => `${quoted(key)}: ${pyRepr(member)}`).join(', ')}}`;
  }
  return String(value);
}

function floatRepr(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  return floatText(value);
}

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(/[\\'\p{Cc}]/gu, (character) => {
    if (character === "'") return quote === "'" ? "\\'" : "'";
    return ESCAPES[character] ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
  return `${quote}${escaped}${quote}`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

/** `int(value)`. @throws PythonError with Python's own text. */
export function pyInt(value: PyValue): number | bigint {
  if (typeof value === 'number' || typeof value === 'bigint') return value;
  if (typeof value === 'boolean') return Number(value);
  if (value instanceof PyFloat) return truncated(value.value);
  if (typeof value !== 'string') {
    const expected = "int() argument must be a string, a bytes-like object or a real number, not '";
    throw new PythonError('TypeError', `${expected}${pyTypeName(value)}'`);
  }
  const digits = value.trim();
  if (!/^[+-]?\d+(?:_\d+)*$/.test(digits)) {
    const text = `invalid literal for int() with base 10: ${pyRepr(value)}`;
    throw new PythonError('ValueError', text);
  }
  return toInt(BigInt(digits.replaceAll('_', '').replace(/^\+/, '')));
}

function truncated(value: number): number | bigint {
  if (Number.isNaN(value)) {
    throw new PythonError('ValueError', 'cannot convert float NaN to integer');
  }
  if (!Number.isFinite(value)) {
    throw new PythonError('OverflowError', 'cannot convert float infinity to integer');
  }
  return toInt(BigInt(Math.trunc(value)));
}

/** `float(value)`. @throws PythonError with Python's own text. */
export function pyFloat(value: PyValue): PyFloat {
  if (value instanceof PyFloat) return value;
  if (typeof value === 'string') return parsedFloat(value);
  if (value === null || typeof value === 'object') {
    const expected = "float() argument must be a string or a real number, not '";
    throw new PythonError('TypeError', `${expected}${pyTypeName(value)}'`);
  }
  return new PyFloat(Number(value));
}

function parsedFloat(text: string): PyFloat {
  const trimmed = text.trim().replace(/(?<=\d)_(?=\d)/g, '');
  const special = /^([+-]?)(inf(?:inity)?|nan)$/i.exec(trimmed);
  if (special) {
    const magnitude = special[2]?.toLowerCase() === 'nan' ? NaN : Infinity;
    return new PyFloat(special[1] === '-' ? -magnitude : magnitude);
  }
  if (!/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(trimmed)) {
    throw new PythonError('ValueError', `could not convert string to float: ${pyRepr(text)}`);
  }
  return new PyFloat(Number(trimmed));
}

/** `bool(value)`. */
export function pyBool(value: PyValue): boolean {
  if (value instanceof PyFloat) return value.value !== 0;
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  return Boolean(value);
}

/** `type(value).__name__`. */
export function pyTypeName(value: PyValue): string {
  if (value === null) return 'NoneType';
  if (Array.isArray(value)) return 'list';
  if (value instanceof Map) return 'dict';
  if (value instanceof PyFloat) return 'float';
  return { string: 'str', boolean: 'bool' }[typeof value as string] ?? 'int';
}

/** Python's `a == b`: `1 == 1.0 == True`, containers by content. */
export function pyEquals(a: PyValue, b: PyValue): boolean {
  const [first, second] = [comparable(a), comparable(b)];
  if (typeof first === 'object' && typeof second === 'object' && first && second) {
    return pyRepr(first) === pyRepr(second);
  }
  // 2n == 2 for JavaScript too; nothing else of different types meets here.
  return typeof first === 'bigint' || typeof second === 'bigint'
    ? typeof first !== 'string' && typeof second !== 'string' && first == second
    : first === second;
}

function comparable(value: PyValue): PyValue {
  if (value instanceof PyFloat) return value.value;
  return typeof value === 'boolean' ? Number(value) : value;
}

/** A plain JavaScript value, such as a node's description, as a Python value. */
export function fromPlain(value: unknown): PyValue {
  switch (typeof value) {
    case 'number':
      return Number.isInteger(value) ? value : new PyFloat(value);
    case 'string':
    case 'boolean':
    case 'bigint':
      return value;
    case 'object':
      if (value === null) return null;
      if (value instanceof PyFloat) return value;
      if (typeof value.valueOf() !== 'object') return fromPlain(value.valueOf());
      if (value instanceof Map) return value as Map<string, PyValue>;
      if (Array.isArray(value)) return value.map(fromPlain);
      return new Map(Object.entries(value).map(([key, member]) => [key, fromPlain(member)]));
    default:
      return null;
  }
}
