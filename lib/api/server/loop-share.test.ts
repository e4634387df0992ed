import { expect, test } from '@jest/globals';
import { LoopShare } from './loop-share.ts';
import { countTurns } from '../test-api.ts';

test('work beyond the share of a turn waits for the next turn, in order', async () => {
  using turns = countTurns();
  const share = new LoopShare(8);
  const work = (_: unknown, at: number) =>
    share.run(() => {
      burn(5);
      return { at, turn: turns.count };
    });
  const done = await Promise.all(Array.from({ length: 10 }, work));
  const perTurn = Map.groupBy(done, ({ turn }) => turn);
  for (const [, works] of perTurn) expect(works.length).toBeLessThanOrEqual(2);
  expect([...done].sort((a, b) => a.turn - b.turn)).toEqual(done);
});

test('while the share lasts work is done at once', () => {
  const share = new LoopShare(60_000);
  const done: number[] = [];
  for (let count = 0; count < 100; count++) void share.run(() => done.push(count));
  expect(done).toHaveLength(100);
});

test('work that takes longer than a share is done, too', async () => {
  const share = new LoopShare(1);
  const works = [() => burn(3), () => burn(3), () => 'done'].map((work) => share.run(work));
  expect((await Promise.all(works)).at(-1)).toBe('done');
});

test('work that throws, now or later, rejects the promise of its caller', async () => {
  const share = new LoopShare(1);
  const fail = () => {
    throw new Error('no');
  };
  const now = share.run(fail);
  const used = share.run(() => burn(3));
  const later = share.run(fail);
  await expect(now).rejects.toThrow('no');
  await expect(later).rejects.toThrow('no');
  await used;
});

function burn(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}
