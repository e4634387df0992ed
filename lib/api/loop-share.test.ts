import { expect, test } from '@jest/globals';
import { LoopShare } from './loop-share.ts';
import { countTurns } from './test-api.ts';

test('work beyond the share of a turn waits for the next turn, in order', async () => {
  using turns = countTurns();
  const share = new LoopShare(8);
  const done = await Promise.all(
    Array.from({ length: 10 }, (_, at) => {
      const { promise, resolve } = Promise.withResolvers<{ at: number; turn: number }>();
      share.run(() => {
        burn(5);
        resolve({ at, turn: turns.count });
      });
      return promise;
    }),
  );
  const perTurn = Map.groupBy(done, ({ turn }) => turn);
  for (const [, works] of perTurn) expect(works.length).toBeLessThanOrEqual(2);
  expect([...done].sort((a, b) => a.turn - b.turn)).toEqual(done);
});

test('while the share lasts work is done at once', () => {
  const share = new LoopShare(60_000);
  const done: number[] = [];
  for (let count = 0; count < 100; count++) share.run(() => done.push(count));
  expect(done).toHaveLength(100);
});

test('work that is longer than a share is done all the same', async () => {
  const share = new LoopShare(1);
  const { promise, resolve } = Promise.withResolvers<string>();
  share.run(() => burn(3));
  share.run(() => burn(3));
  share.run(() => resolve('done'));
  await expect(promise).resolves.toBe('done');
});

function burn(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}
