import { expect, test } from '@jest/globals';
import { ManualClock, systemClock, type Cancel, type Clock } from './clock.ts';

const never = new AbortController().signal;

/** Waits for everything that needs no clock. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test('timers fire in order when they are due, and not after they were cancelled', () => {
  const clock = new ManualClock();
  const fired: string[] = [];
  clock.after(20, () => fired.push('second'));
  clock.after(10, () => fired.push('first'));
  const cancel = clock.after(5, () => fired.push('cancelled'));
  cancel();
  clock.advance(19);
  expect(fired).toEqual(['first']);
  clock.advance(1);
  expect([fired, clock.sleepers]).toEqual([['first', 'second'], 0]);
  cancel(); // once more does nothing
});

test('a timer can cancel another one that is due at the same time', () => {
  const clock = new ManualClock();
  const fired: string[] = [];
  const cancels: Cancel[] = [];
  clock.after(10, () => cancels.forEach((cancel) => cancel()));
  cancels.push(clock.after(10, () => fired.push('cancelled')));
  clock.advance(10);
  expect(fired).toEqual([]);
});

test.each<[string, () => Clock]>([
  ['the system clock', () => systemClock],
  ['the manual clock', () => new ManualClock()],
])(
  '%s: a timer that is due already fires without a move of the clock, but not within the call',
  async (_, make) => {
    const clock = make();
    const fired: number[] = [];
    clock.after(-5, () => fired.push(-5));
    expect(fired).toEqual([]);
    await clock.sleep(0);
    await settled();
    expect(fired).toEqual([-5]);
  },
);

test.each<[string, () => Clock]>([
  ['the system clock', () => systemClock],
  ['the manual clock', () => new ManualClock()],
])(
  '%s: a sleep rejects with the reason of its signal, aborted before or during the sleep',
  async (_, make) => {
    const clock = make();
    const stop = new AbortController();
    const sleeping = clock.sleep(60_000, stop.signal);
    stop.abort('enough');
    await expect(sleeping).rejects.toBe('enough');
    await expect(clock.sleep(1, stop.signal)).rejects.toBe('enough');
    await expect(clock.sleep(0, never)).resolves.toBeUndefined();
  },
);

test('a timer longer than Node can count does not fire at once', async () => {
  const fired: string[] = [];
  const cancel = systemClock.after(2 ** 31, () => fired.push('month'));
  await systemClock.sleep(5);
  cancel();
  expect(fired).toEqual([]);
});

test('setting the clock of the machine moves neither ages nor deadlines', async () => {
  const realNow = Date.now;
  const startedAt = systemClock.now();
  try {
    for (const hours of [25, -25, 1, -1]) {
      Date.now = () => realNow() + hours * 3_600_000;
      expect(systemClock.now() - startedAt).toBeLessThan(3_600_000);
      expect(systemClock.now()).toBeGreaterThanOrEqual(startedAt);
      expect(Math.abs(systemClock.wallTime() - realNow() - hours * 3_600_000)).toBeLessThan(60_000);
      await systemClock.sleep(1);
    }
  } finally {
    Date.now = realNow;
  }
});

test('a manual clock that is set fires no timers', () => {
  const clock = new ManualClock(1000);
  clock.after(10, () => expect('it').toBe('not fired'));
  clock.setBy(25 * 3_600_000);
  expect([clock.now(), clock.wallTime(), clock.sleepers]).toEqual([1000, 90_001_000, 1]);
});
