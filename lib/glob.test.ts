import { expect, test } from '@jest/globals';
import { GlobSchema, matchesGlob, MAX_PATTERN_LENGTH, MAX_WILDCARDS } from './glob.ts';

/** Random numbers from a seed, so that a failure can be repeated. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** By the definition: every way to divide the text is tried. Slow. */
function matchesByDefinition(pattern: string, text: string): boolean {
  const [, stars = '', rest = ''] = /^(\*+)(.*)$/s.exec(pattern) ?? [];
  if (stars === '') {
    if (pattern === '') return text === '';
    const [first = ''] = pattern;
    return (
      first !== '' && text.startsWith(first) && matchesByDefinition(pattern.slice(1), text.slice(1))
    );
  }
  for (let length = 0; length <= text.length; length++) {
    if (stars === '*' && text.slice(0, length).includes('/')) return false;
    if (matchesByDefinition(rest, text.slice(length))) return true;
  }
  return false;
}

const randomText = (characters: string, maxLength: number, random: (below: number) => number) =>
  Array.from({ length: random(maxLength + 1) }, () => characters[random(characters.length)]).join(
    '',
  );

test('a pattern matches what its definition says, for 20,000 random patterns and texts', () => {
  const random = randomNumbers(10);
  const wrong: string[] = [];
  let matching = 0;
  for (let round = 0; round < 20_000; round++) {
    const pattern = randomText('ab/**', 8, random);
    const text = randomText('ab/', 9, random);
    const expected = matchesByDefinition(pattern, text);
    if (expected) matching++;
    if (matchesGlob(pattern, text, { barrier: '/' }) !== expected) wrong.push(`${pattern} ${text}`);
  }
  expect(wrong).toEqual([]);
  expect(matching).toBeGreaterThan(1000);
});

test.each([
  ['five stars', '*a*a*a*a*b', (length: number) => 'a'.repeat(length)],
  [
    'the largest pattern',
    `${'**a'.repeat(MAX_WILDCARDS)}${'a'.repeat(1800)}b`,
    (length: number) => 'a'.repeat(length),
  ],
  [
    'single stars between slashes',
    '**/*a*a/*a*b/**c',
    (length: number) => 'a/aa/'.repeat(length / 5),
  ],
  ['periodic texts', '**abababac*ababac**abac', (length: number) => 'ab'.repeat(length / 2)],
])('the steps for %s grow no faster than the text', (_, pattern, textOf) => {
  const stepsFor = (length: number) => {
    let steps = 0;
    matchesGlob(pattern, textOf(length), { barrier: '/', onStep: () => steps++ });
    return steps;
  };
  for (const length of [1000, 10_000, 100_000]) {
    expect(stepsFor(length)).toBeLessThan(3 * (MAX_WILDCARDS + 1) * length + 3 * pattern.length);
  }
  // The cost of the pattern itself is the same for all texts, and is subtracted.
  const own = stepsFor(0);
  expect(stepsFor(100_000) - own).toBeLessThan(11 * Math.max(100, stepsFor(10_000) - own));
});

test('patterns that are too long or have too many wildcards are refused', () => {
  const isValid = (pattern: string) => GlobSchema.safeParse(pattern).success;
  expect(isValid('a'.repeat(MAX_PATTERN_LENGTH))).toBe(true);
  expect(isValid('a'.repeat(MAX_PATTERN_LENGTH + 1))).toBe(false);
  expect(isValid('*a'.repeat(MAX_WILDCARDS))).toBe(true);
  expect(isValid('*a'.repeat(MAX_WILDCARDS + 1))).toBe(false);
  expect(isValid('')).toBe(false);
});
