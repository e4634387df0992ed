import { expect, test } from '@jest/globals';
import { ManualClock } from '../../clock.ts';
import { silentLog, tinyWorkflow } from '../test-comfy.ts';
import { parsePreview } from './socket-images.ts';
import { PromptWatch } from './prompt-watch.ts';

function startWatch() {
  const clock = new ManualClock(0);
  const parts = { clientId: 'mine', workflow: tinyWorkflow, clock, log: silentLog, observer: {} };
  return { clock, watch: new PromptWatch(parts) };
}

test('a prompt goes from queued over running and ended to done, and keeps its times', () => {
  const { clock, watch } = startWatch();
  expect(watch.state).toEqual({ phase: { name: 'queued' }, connection: 'attached' });
  clock.advance(10);
  watch.onEvent({ type: 'started' });
  expect(watch.state.phase).toEqual({ name: 'running', startedAt: 10 });
  clock.advance(10);
  watch.onEvent({ type: 'succeeded' });
  expect(watch.state.phase).toEqual({ name: 'ended', startedAt: 10, endedAt: 20 });
  watch.markStarted();
  clock.advance(10);
  watch.onEvent({ type: 'done' });
  expect(watch.state.phase).toEqual({ name: 'done', startedAt: 10, endedAt: 20 });
});

test('a prompt is detached by the loss of its own connection only', () => {
  const { watch } = startWatch();
  watch.onDisconnect('another');
  expect(watch.state.connection).toBe('attached');
  watch.onDisconnect('mine');
  expect(watch.state).toEqual({ phase: { name: 'queued' }, connection: 'detached' });
});

const frame = (event: number, format: number, ...picture: number[]) =>
  Buffer.from([0, 0, 0, event, 0, 0, 0, format, ...picture]);

test('a preview is read with its media type', () => {
  expect(parsePreview(frame(1, 1, 255, 216))).toEqual({
    bytes: Buffer.from([255, 216]),
    mediaType: 'image/jpeg',
  });
  expect(parsePreview(frame(1, 2, 137))?.mediaType).toBe('image/png');
});

test.each([
  ['another event', frame(2, 1, 1)],
  ['metadata nobody asked for', frame(4, 1, 1)],
  ['an unknown format', frame(1, 9, 1)],
  ['no picture', frame(1, 1)],
  ['a stump', Buffer.from([0, 0, 0, 1])],
  ['nothing', Buffer.alloc(0)],
])('%s is not a preview', (_what, bytes) => expect(parsePreview(bytes)).toBeUndefined());
