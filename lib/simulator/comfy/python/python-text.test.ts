import { expect, test } from '@jest/globals';
import { PyFloat, readJson, writeJson, type PyValue } from './python-json.ts';
import { pyEquals, pyFloat, pyInt, pyRepr, pyStr } from './python-text.ts';

test.each([
  ['{"b": 1, "10": 2, "9": 3}', '{"b": 1, "10": 2, "9": 3}'],
  ['18446744073709551615', '18446744073709551615'],
  ['1.0', '1.0'],
  ['1e3', '1000.0'],
  ['1e16', '1e+16'],
  ['0.00001', '1e-05'],
  ['[NaN, Infinity, -Infinity]', '[NaN, Infinity, -Infinity]'],
  ['"caf\u00e9"', '"caf\\u00e9"'],
  ['[true,null]', '[true, null]'],
])('%s is written as Python writes it', (text, written) => {
  expect(writeJson(readJson(text))).toBe(written);
});

test.each<[PyValue, string]>([
  ["it's", `"it's"`],
  [`'"`, `'\\'"'`],
  ['a\nb\\', "'a\\nb\\\\'"],
  [true, 'True'],
  [null, 'None'],
  [[1, new PyFloat(1), 'x'], "[1, 1.0, 'x']"],
  [new Map<string, PyValue>([['a', [null]]]), "{'a': [None]}"],
])('%p is shown as %s', (value, shown) => {
  expect(pyRepr(value)).toBe(shown);
});

test('str() of a string has no quotes, of a list of strings it has', () => {
  expect(pyStr('x')).toBe('x');
  expect(pyStr(['x'])).toBe("['x']");
});

test('int() accepts and rejects what Python does', () => {
  expect(pyInt(' 7 ')).toBe(7);
  expect(pyInt('1_000')).toBe(1000);
  expect(pyInt(new PyFloat(-1.9))).toBe(-1);
  expect(pyInt(true)).toBe(1);
  expect(pyInt('18446744073709551615')).toBe(18446744073709551615n);
});

test.each<[PyValue, string]>([
  ['7.5', "invalid literal for int() with base 10: '7.5'"],
  [null, "int() argument must be a string, a bytes-like object or a real number, not 'NoneType'"],
  [new PyFloat(NaN), 'cannot convert float NaN to integer'],
  [new PyFloat(Infinity), 'cannot convert float infinity to integer'],
])('%p is no integer, in the words of Python', (value, message) => {
  expect(() => pyInt(value)).toThrow(message);
});

test('float() accepts and rejects what Python does', () => {
  expect(pyFloat('1e3').value).toBe(1000);
  expect(pyFloat(' .5 ').value).toBe(0.5);
  expect(pyFloat('-inf').value).toBe(-Infinity);
  expect(() => pyFloat('tall')).toThrow("could not convert string to float: 'tall'");
});

test("equality is Python's: numbers compare by value, not by type", () => {
  expect(pyEquals(1, new PyFloat(1))).toBe(true);
  expect(pyEquals(true, 1)).toBe(true);
  expect(pyEquals('1', 1)).toBe(false);
  expect(pyEquals(2n ** 64n, 2n ** 64n)).toBe(true);
});
