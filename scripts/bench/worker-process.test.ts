import { expect, test } from '@jest/globals';
import { overTime } from './worker-process.ts';

test('growing memory and settling memory look different', () => {
  expect(overTime([10, 20, 30, 40, 50, 60, 70, 80, 90])).toEqual({
    first: 20,
    second: 50,
    last: 80,
  });
  expect(overTime([10, 20, 30, 50, 50, 50, 50, 50])).toEqual({ first: 20, second: 50, last: 50 });
});

test('too few samples give no result', () => {
  expect(overTime([1])).toBeUndefined();
  expect(overTime([])).toBeUndefined();
});
