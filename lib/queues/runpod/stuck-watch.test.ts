import { expect, test } from '@jest/globals';
import { lookIntervalMs, StuckWatch } from './stuck-watch.ts';

function watched(stuckMs: number) {
  const turns = new Int32Array(new SharedArrayBuffer(4));
  const watch = new StuckWatch(turns, stuckMs);
  const look = (times: number) => {
    for (let time = 0; time < times; time++) watch.look();
  };
  watch.look();
  return { watch, look, turn: () => Atomics.add(turns, 0, 1) };
}

test('a loop that turns is never stuck', () => {
  const { watch, look, turn } = watched(4000);
  for (let time = 0; time < 100; time++) {
    turn();
    look(2);
    expect(watch.stuck).toBe(false);
  }
});

test('a loop is stuck once it has been silent for long enough, until it turns again', () => {
  const { watch, look, turn } = watched(4000);
  look(3);
  expect(watch.stuck).toBe(false);
  look(1);
  expect(watch).toMatchObject({ stuck: true, silentMs: 4000 });
  turn();
  look(1);
  expect(watch).toMatchObject({ stuck: false, silentMs: 0 });
});

test('a process that slept between two looks is not stuck, however long it slept', () => {
  const { watch, look } = watched(4000);
  look(1);
  expect(watch).toMatchObject({ stuck: false, silentMs: 1000 });
});

test('looks are a quarter of the patience apart, and at most a second', () => {
  expect(lookIntervalMs(300_000)).toBe(1000);
  expect(lookIntervalMs(200)).toBe(50);
});
