import { expect, test } from '@jest/globals';
import { Heap } from './heap.ts';

const numbers = (...items: number[]) => {
  const heap = new Heap<number>((a, b) => a < b);
  for (const item of items) heap.push(item);
  return heap;
};

test('the smallest item comes first', () => {
  const heap = numbers(5, 2, 8, 1, 9, 3, 7);
  const popped = [];
  for (let item = heap.pop(); item !== undefined; item = heap.pop()) popped.push(item);
  expect(popped).toEqual([1, 2, 3, 5, 7, 8, 9]);
});

test("the layout equals Python's heapq", () => {
  const heap = numbers(5, 2, 8, 1, 9, 3);
  expect(heap.items).toEqual([1, 2, 3, 5, 9, 8]);
  heap.pop();
  expect(heap.items).toEqual([2, 5, 3, 8, 9]);
});

test('an item can be removed from the middle', () => {
  const heap = numbers(1, 4, 2, 6, 5);
  heap.remove(4);
  expect(heap.items).toEqual([1, 2, 6, 5]);
  expect([heap.pop(), heap.pop(), heap.pop(), heap.pop()]).toEqual([1, 2, 5, 6]);
});
