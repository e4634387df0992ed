import { expect, test } from '@jest/globals';
import { choicesOf, hasChoice, listChoices, nearest } from './choices.ts';
import { JsonText } from './json.ts';

test.each([
  ['[["a", "b"], {}]', ['a', 'b']],
  ['["COMBO", {"options": ["a", 1]}]', ['a', '1']],
  ['["INT", {"min": 0}]', undefined],
  ['["COMBO", {}]', undefined],
])('choices of %s', (declaration, choices) => {
  expect(choicesOf(JsonText.parse(declaration))).toEqual(choices);
});

test.each([
  ['a', true],
  ['1', true],
  ['é', true],
  ['b', false],
])('hasChoice of %s', (wanted, isChoice) => {
  expect(hasChoice(JsonText.parse('[["a", 1, "\\u00e9"]]'), wanted)).toBe(isChoice);
  expect(hasChoice(JsonText.parse('["INT"]'), wanted)).toBeUndefined();
});

test('a short list is shown whole, of a long one the most similar choices', () => {
  const many = Array.from({ length: 30 }, (_, at) => `model-${at}.safetensors`);
  expect(listChoices([], 'x')).toBe('none');
  expect(listChoices(['b', 'a'], 'x')).toBe('b, a');
  expect(listChoices([...many, 'folder/flux1-dev.sft'], 'flux1_dev.safetensors')).toMatch(
    /^folder\/flux1-dev\.sft, .* and 23 more$/,
  );
});

test('nearest finds what a misspelt name stands for, and nothing for a strange one', () => {
  const names = ['KSampler', 'KSamplerAdvanced', 'SaveImage', 'ImageInvert'];
  expect(nearest(names, 'KSamplr', 3)).toEqual(['KSampler']);
  expect(nearest(names, 'ImageInvrt', 3)).toEqual(['ImageInvert']);
  expect(nearest(names, 'Zzz', 3)).toEqual([]);
  expect(nearest([], 'KSampler', 3)).toEqual([]);
});
