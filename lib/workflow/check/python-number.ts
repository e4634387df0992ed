import type { JsonText } from '../../json.ts';

/** Whole numbers keep all their digits. */
export type PythonNumber = number | bigint;

/**
 * What `int()` or `float()` of Python make of a value, as ComfyUI calls them on inputs. Undefined when they would raise.
 */
export function maybeNumber(value: JsonText, isWhole: boolean): PythonNumber | undefined {
  switch (value.kind) {
    case 'boolean':
      return value.value() === true ? 1 : 0;
    case 'number':
      return ofNumber(value.text, isWhole);
    case 'string':
      return ofText(String(value.value()), isWhole);
    default:
      return undefined;
  }
}

/** `int()` cuts off what is behind the point. It raises for `NaN`, which `float()` takes. */
function ofNumber(text: string, isWhole: boolean): PythonNumber | undefined {
  if (/^-?\d+$/.test(text)) return BigInt(text);
  const number = Number(text);
  if (!isWhole) return number;
  return Number.isFinite(number) ? Math.trunc(number) : undefined;
}

/** Digits may be parted by single underscores. `float()` also takes exponents and names such as `inf`. */
function ofText(text: string, isWhole: boolean): PythonNumber | undefined {
  const plain = text.trim().replace(/(?<=\d)_(?=\d)/g, '');
  if (/^[+-]?\d+$/.test(plain)) return BigInt(plain.replace('+', ''));
  if (isWhole) return undefined;
  if (/^[+-]?(inf|infinity|nan)$/i.test(plain)) return Number.NaN;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain) ? Number(plain) : undefined;
}

/** Negative, zero or positive; zero when one of them is not a number. */
export function compareNumbers(a: PythonNumber, b: PythonNumber): number {
  if (a < b) return -1;
  return a > b ? 1 : 0;
}
