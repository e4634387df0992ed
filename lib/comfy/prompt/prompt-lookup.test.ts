import { expect, test } from '@jest/globals';
import { ManualClock } from '../../clock.ts';
import { WorkerError } from '../../errors.ts';
import { JsonText } from '../../json.ts';
import { LIMITS } from '../settings.ts';
import { never } from '../test-comfy.ts';
import type { ComfyClient } from '../transport/client.ts';
import { findPrompt, readHistoryEntry } from './prompt-lookup.ts';

const unanswered = new WorkerError('comfy.request_failed', 'timed out');

test('one history request that is not answered in time does not make a finished prompt "not found"', async () => {
  const clock = new ManualClock(0);
  let asked = 0;
  const history = () => {
    if (++asked > 1) return Promise.resolve(JsonText.parse('{"outputs":{}}'));
    clock.advance(60_000); // far longer than limits.historyMs
    return Promise.reject(unanswered);
  };
  const reading = readHistoryEntry('p', undefined, {
    client: { history } as unknown as ComfyClient,
    settings: { limits: LIMITS },
    clock,
    signal: never,
  });
  void reading.catch(() => undefined);
  for (let turn = 0; turn < 20 && asked < 2; turn++) {
    await new Promise(setImmediate);
    clock.advance(1000);
  }
  expect((await reading).text).toBe('{"outputs":{}}');
});

test('a slow answer of the queue does not use up the doubt before a prompt counts as lost', async () => {
  const clock = new ManualClock(0);
  let asked = 0;
  const client = {
    queue: () => {
      if (++asked === 1) clock.advance(60_000);
      return Promise.resolve({ running: asked > 1 ? ['p'] : [], pending: [] });
    },
    history: () => Promise.resolve(undefined),
  } as unknown as ComfyClient;
  const finding = findPrompt('p', 3000, { client, clock, signal: never });
  for (let turn = 0; turn < 20 && asked < 2; turn++) {
    await new Promise(setImmediate);
    clock.advance(100);
  }
  expect(await finding).toEqual({ state: 'running' });
});
