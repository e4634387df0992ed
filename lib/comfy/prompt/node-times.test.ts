import { expect, test } from '@jest/globals';
import { NodeTimes } from './node-times.ts';

test('a node is at work until the next one has its turn, or the prompt ends', () => {
  const times = new NodeTimes();
  times.record({ type: 'started' }, 0);
  times.record({ type: 'cached', nodes: ['1'] }, 1);
  times.record({ type: 'executing', node: '2' }, 10);
  times.record({ type: 'progress', node: '2', value: 1, max: 2 }, 20);
  times.record({ type: 'executing', node: '3' }, 35);
  times.record({ type: 'executing', node: '2' }, 40);
  times.record({ type: 'succeeded' }, 47);
  times.record({ type: 'done' }, 60);
  expect(times.byNode).toEqual({ 2: 32, 3: 5 });
});

test('a node that raises took its time all the same', () => {
  const times = new NodeTimes();
  times.record({ type: 'executing', node: '2' }, 10);
  times.record({ type: 'done' }, 15);
  expect(times.byNode).toEqual({ 2: 5 });
});
