import { expect, test } from '@jest/globals';
import { StuckWatch } from './heartbeat-thread.ts';

function watched() {
  const turns = new Int32Array(new SharedArrayBuffer(4));
  const watch = new StuckWatch({ turns, stuckMs: 4000, checkIntervalMs: 1000 });
  const check = (times: number) => {
    for (let time = 0; time < times; time++) watch.check();
  };
  watch.check();
  return { watch, check, turn: () => Atomics.add(turns, 0, 1) };
}

test('an event loop that turns is never stuck', () => {
  const { watch, check, turn } = watched();
  for (let time = 0; time < 100; time++) {
    turn();
    check(2);
    expect(watch.stuck).toBe(false);
  }
});

test('an event loop is stuck after a long enough silence, until it turns again', () => {
  const { watch, check, turn } = watched();
  check(3);
  expect(watch.stuck).toBe(false);
  check(1);
  expect(watch).toMatchObject({ stuck: true, silentMs: 4000 });
  turn();
  check(1);
  expect(watch).toMatchObject({ stuck: false, silentMs: 0 });
});

test('a process that slept between two checks is not stuck, however long it slept', () => {
  const { watch, check } = watched();
  check(1);
  expect(watch).toMatchObject({ stuck: false, silentMs: 1000 });
});
