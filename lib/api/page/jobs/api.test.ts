import { expect, test } from '@jest/globals';
import { Turns } from './api.js';

const never = new AbortController().signal;

test('only so many run at a time, and the others follow in order', async () => {
  const turns = new Turns(2);
  const started: number[] = [];
  const gates = [0, 1, 2, 3].map(() => Promise.withResolvers<undefined>());
  const done = gates.map(({ promise }, index) =>
    turns.take(() => {
      started.push(index);
      return promise;
    }, never),
  );
  await Promise.resolve();
  await Promise.resolve();
  expect(started).toEqual([0, 1]);
  gates[1]?.resolve(undefined);
  await done[1];
  gates.forEach(({ resolve }) => resolve(undefined));
  await Promise.all(done);
  expect(started).toEqual([0, 1, 2, 3]);
});

test('a task that stops waiting gives its turn to the next', async () => {
  const turns = new Turns(1);
  const gate = Promise.withResolvers<undefined>();
  const leaving = new AbortController();
  const first = turns.take(() => gate.promise, never);
  const second = turns.take(() => Promise.resolve('second'), leaving.signal);
  const third = turns.take(() => Promise.resolve('third'), never);
  leaving.abort(new Error('gone'));
  gate.resolve(undefined);
  await expect(second).rejects.toThrow('gone');
  expect(await third).toBe('third');
  await first;
});

test('a task that fails gives its turn back', async () => {
  const turns = new Turns(1);
  await expect(turns.take(() => Promise.reject(new Error('no')), never)).rejects.toThrow('no');
  expect(await turns.take(() => Promise.resolve('yes'), never)).toBe('yes');
});
