import { expect, test } from '@jest/globals';
import { rollPrompt } from './dynamic-prompt.ts';

/** Everything that comes out in many rolls. */
const outcomes = (text: string) =>
  [...new Set(Array.from({ length: 200 }, () => rollPrompt(text)))].sort();

test.each([
  ['a cat', ['a cat']],
  ['a {red|blue} cat', ['a blue cat', 'a red cat']],
  ['{a|b{1|2}}', ['a', 'b1', 'b2']],
  ['a{|n} cat', ['a cat', 'an cat']],
  ['{only}', ['only']],
  ['a \\{literal\\|brace\\}', ['a {literal|brace}']],
  ['{a\\|b|c}', ['a|b', 'c']],
  ['a /* thing\nof */ cat // or dog', ['a  cat ']],
  ['face/*detail {x}', ['face/*detail x']],
  ['a /*/ cat', ['a /*/ cat']],
  ['open { only', ['open { only']],
  ['close } only', ['close } only']],
  ['(weighted:1.2), <lora:x>', ['(weighted:1.2), <lora:x>']],
])('%j becomes one of %j', (text, expected) => {
  expect(outcomes(text)).toEqual(expected);
});

test.each([
  ['deep nesting', '{'.repeat(50_000) + 'x' + '}'.repeat(50_000)],
  ['many blocks that never close', '{\\|'.repeat(50_000)],
  ['many comments that never end', `*/${'/*'.repeat(200_000)}`],
  ['many escapes in one', `{${'\\|'.repeat(50_000)}`],
])('%s comes to an end', (_, text) => {
  expect(rollPrompt(text)).toBeDefined();
});

test('blocks within blocks are rolled to the innermost', () => {
  expect(rollPrompt('{'.repeat(40) + 'x' + '}'.repeat(40))).toBe('x');
});
