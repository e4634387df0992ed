/** Primitives, switches, and nodes that compute numbers. */

import { toInt } from '../../python/python-json.ts';
import { fromPlain, pyFloat, pyInt, pyRepr, PythonError } from '../../python/python-text.ts';
import { evaluate } from './expression.ts';
import { isTruthy, type Behaviour, type Behaviours, type Given } from './given.ts';

const sameValue: Behaviour = (given) => [given.value('value')];

export const VALUE_BEHAVIOURS: Behaviours = {
  PrimitiveString: sameValue,
  PrimitiveStringMultiline: sameValue,
  PrimitiveInt: sameValue,
  PrimitiveFloat: sameValue,
  PrimitiveBoolean: sameValue,
  SeedNode: (given) => [given.value('seed')],
  PrimitiveBoundingBox: (given) => {
    const [x, y, width, height] = ['x', 'y', 'width', 'height'].map((name) => given.number(name));
    return [{ x, y, width, height }];
  },
  CustomCombo: (given) => [given.value('choice'), given.values.index ?? 0],
  ComfySwitchNode: (given) => [given.value(given.flag('switch') ? 'on_true' : 'on_false')],
  ComfyNotNode: (given) => [!given.flag('value')],
  ComfyAndNode: (given) => [given.elements('values').every(isTruthy)],
  ComfyOrNode: (given) => [given.elements('values').some(isTruthy)],
  ComfyMathExpression: mathExpression,
  ComfyNumberConvert: convertNumber,
  ResolutionSelector: selectResolution,
  ColorToRGBInt: (given) => {
    const [rgb = '000000', alpha = 'ff'] = [
      /^#?([0-9a-f]{6})([0-9a-f]{2})?/i.exec(given.text('color')),
    ]
      .flatMap((match) => match?.slice(1) ?? [])
      .map((part: string | undefined) => part);
    return [parseInt(rgb, 16), `#${rgb}`, parseInt(alpha, 16) / 255];
  },
  CreateList: (given) => [given.elements<readonly unknown[]>('inputs').flat()],
  CurveEditor: (given) => [given.value('curve')],
};

function mathExpression(given: Given): readonly unknown[] {
  const expression = given.text('expression');
  if (!expression.trim()) throw new PythonError('ValueError', 'Expression cannot be empty.');
  const result = evaluate(expression, given.group('values').values);
  if (!Number.isFinite(result)) {
    const text = `Math Expression '${expression}' produced a non-finite result: ${result}`;
    throw new PythonError('ValueError', text);
  }
  return [result, toInt(BigInt(Math.trunc(result))), result !== 0];
}

/** Texts may be any number that Python reads; whole numbers keep all their digits. */
function convertNumber(given: Given): readonly unknown[] {
  const value = fromPlain(given.value('value'));
  if (value === null || Array.isArray(value) || value instanceof Map) {
    throw new PythonError('TypeError', `Unsupported input type: ${pyRepr(value)}`);
  }
  if (typeof value === 'string' && value.trim() === '') {
    throw new PythonError('ValueError', 'Cannot convert empty string to number.');
  }
  const number = asFloat(value);
  if (Number.isFinite(number)) return [number, wholePart(value, number)];
  const text = `Cannot convert non-finite value to number: ${pyRepr(pyFloat(number))}`;
  throw new PythonError('ValueError', text);
}

function asFloat(value: Parameters<typeof pyFloat>[0]): number {
  try {
    return pyFloat(value).value;
  } catch {
    throw new PythonError('ValueError', `Cannot convert string to number: ${pyRepr(value)}`);
  }
}

function wholePart(value: Parameters<typeof pyInt>[0], number: number): number | bigint {
  try {
    return pyInt(value);
  } catch {
    return pyInt(pyFloat(number));
  }
}

/** `aspect_ratio` begins with the ratio: `16:9 (Widescreen)`. */
function selectResolution(given: Given): readonly unknown[] {
  const [wide = 1, high = 1] =
    /^(\d+):(\d+)/.exec(given.text('aspect_ratio'))?.slice(1).map(Number) ?? [];
  const multiple = given.number('multiple');
  const scale = Math.sqrt((given.number('megapixels') * 1024 * 1024) / (wide * high));
  return [wide, high].map((part) => Math.round((part * scale) / multiple) * multiple);
}
