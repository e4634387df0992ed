import { expect, test } from '@jest/globals';
import { ManualClock, systemClock, type Cancel, type Clock } from './clock.ts';

const never = new AbortController().signal;

/** Lets everything happen that happens without a clock. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test('timers ring in order when their moment has come, and not when they were cancelled', () => {
  const clock = new ManualClock();
  const rung: string[] = [];
  clock.after(20, () => rung.push('second'));
  clock.after(10, () => rung.push('first'));
  const cancel = clock.after(5, () => rung.push('cancelled'));
  cancel();
  clock.advance(19);
  expect(rung).toEqual(['first']);
  clock.advance(1);
  expect([rung, clock.sleepers]).toEqual([['first', 'second'], 0]);
  cancel(); // once more does nothing
});

test('a timer that cancels another one of the same moment is obeyed', () => {
  const clock = new ManualClock();
  const rung: string[] = [];
  const cancels: Cancel[] = [];
  clock.after(10, () => cancels.forEach((cancel) => cancel()));
  cancels.push(clock.after(10, () => rung.push('cancelled')));
  clock.advance(10);
  expect(rung).toEqual([]);
});

test.each<[string, () => Clock]>([
  ['the clock of the system', () => systemClock],
  ['a clock moved by hand', () => new ManualClock()],
])('%s: what is due already happens without a move, but not within the call', async (_, make) => {
  const clock = make();
  const rung: number[] = [];
  clock.after(-5, () => rung.push(-5));
  expect(rung).toEqual([]);
  await clock.sleep(0);
  await settled();
  expect(rung).toEqual([-5]);
});

test.each<[string, () => Clock]>([
  ['the clock of the system', () => systemClock],
  ['a clock moved by hand', () => new ManualClock()],
])('%s: a sleep ends with the reason of its signal, before or meanwhile', async (_, make) => {
  const clock = make();
  const stop = new AbortController();
  const sleeping = clock.sleep(60_000, stop.signal);
  stop.abort('enough');
  await expect(sleeping).rejects.toBe('enough');
  await expect(clock.sleep(1, stop.signal)).rejects.toBe('enough');
  await expect(clock.sleep(0, never)).resolves.toBeUndefined();
});

test('a timer longer than Node can count does not ring at once', async () => {
  const rung: string[] = [];
  const cancel = systemClock.after(2 ** 31, () => rung.push('month'));
  await systemClock.sleep(5);
  cancel();
  expect(rung).toEqual([]);
});
