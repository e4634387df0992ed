import { expect, test } from '@jest/globals';
import { summarize } from './statistics.ts';

test('no measurements give no summary', () => {
  expect(summarize([])).toBeUndefined();
});

test('a single measurement is its own median and extremes', () => {
  expect(summarize([7])).toEqual({ count: 1, median: 7, p95: 7, min: 7, max: 7 });
});

test('values are sorted as numbers, and quantiles are interpolated', () => {
  const summary = summarize([10, 9, 100, 2]);
  expect(summary).toMatchObject({ count: 4, median: 9.5, min: 2, max: 100 });
  expect(summary?.p95).toBeCloseTo(86.5);
});
