import { expect, test } from '@jest/globals';
import { systemClock } from '../clock.ts';
import { Places, type Concurrency } from './concurrency.ts';
import { createTestLog, HastyClock } from './test-worker.ts';

async function countsOf(concurrency: Concurrency, times = 1, clock = systemClock) {
  const { log, lines } = await createTestLog();
  const places = new Places(concurrency, { log, clock });
  const counts: number[] = [];
  for (let time = 0; time < times; time++) counts.push(await places.count());
  const warnings = lines.all.filter((line) => line.level === 'WARN');
  return { counts, warnings };
}

test('a number of places stays as it is', async () => {
  expect(await countsOf(3, 2)).toEqual({ counts: [3, 3], warnings: [] });
});

test('a function is asked every time, with the current number', async () => {
  expect(await countsOf((current) => current + 1, 3)).toEqual({ counts: [2, 3, 4], warnings: [] });
});

test('W50 a promise is awaited, and a fraction rounded down', async () => {
  expect(await countsOf(() => Promise.resolve(2.9))).toEqual({ counts: [2], warnings: [] });
});

test.each([
  ['null', () => null],
  ['NaN', () => NaN],
  ['a text', () => '4'],
  [
    'an error',
    () => {
      throw new TypeError('no');
    },
  ],
  ['a rejection', () => Promise.reject(new TypeError('no'))],
])('W50 %s leaves the number as it was, with one warning', async (_name, answer) => {
  let asked = 0;
  const concurrency = () => (asked++ === 0 ? 3 : answer()) as number;
  const { counts, warnings } = await countsOf(concurrency, 4);
  expect(counts).toEqual([3, 3, 3, 3]);
  expect(warnings).toHaveLength(1);
});

test.each([0, -5])('W50 %i counts as one', async (wanted) => {
  const { counts, warnings } = await countsOf(() => wanted);
  expect(counts).toEqual([1]);
  expect(warnings).toHaveLength(1);
});

test('W50 a function that never answers is not waited for', async () => {
  const never = () => new Promise<number>(() => undefined);
  const { counts, warnings } = await countsOf(never, 1, new HastyClock());
  expect(counts).toEqual([1]);
  expect(warnings[0]?.reason).toContain('no answer');
});
