import { expect, test } from '@jest/globals';
import { systemClock } from '../../lib/clock.ts';
import { MemoryFile } from '../../lib/file-content.ts';
import type { Destination } from '../../lib/storage/storage.ts';
import { deliver } from './deliver.ts';
import type { DeliveryPlan } from './plan.ts';

const artifact = {
  ...{ nodeId: '1', key: 'images', filename: 'a.png', subfolder: '', type: 'output' },
  mediaType: 'image/png',
  content: new MemoryFile(new Uint8Array(Buffer.from('bytes'))),
};

/** Takes no file and gives no answer, like a store that hangs, or asks to wait for an hour. */
const silent: Destination = {
  name: 'silent',
  itemType: 'url',
  [Symbol.asyncDispose]: () => Promise.resolve(),
  store: (_, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error));
    }),
};

const prompt: Destination = {
  name: 'prompt',
  itemType: 'url',
  [Symbol.asyncDispose]: () => Promise.resolve(),
  store: (files) => Promise.resolve(files.map(() => ({ address: 'https://prompt.test/a.png' }))),
};

async function delivered(destinations: readonly Destination[], signal: AbortSignal, ms = 100) {
  const problems: string[] = [];
  const plan = { destinations, inline: 'never', maxResultBytes: 1_000_000 } as const;
  const scope = { jobId: 'j', signal, problems, storeUntil: systemClock.now() + ms };
  const files = await deliver([artifact], scope, { plan: plan as unknown as DeliveryPlan });
  return { types: files.map(({ type }) => type), problems };
}

const never = new AbortController().signal;

test('a store that never answers leaves time for the file to go into the result', async () => {
  const { types, problems } = await delivered([silent], never);
  expect(types).toEqual(['base64']);
  expect(problems).toEqual([
    'Error uploading a.png to silent: the store did not take it within 1 s',
  ]);
});

test('a store whose time is over before it began is not waited for', async () => {
  expect((await delivered([silent], never, -1000)).types).toEqual(['base64']);
});

test('a store that answers at once keeps its file', async () => {
  expect(await delivered([prompt], never)).toEqual({ types: ['url'], problems: [] });
});

test('a job that is stopped while a store is silent delivers nothing', async () => {
  const stop = new AbortController();
  const delivering = delivered([silent], stop.signal, 60_000);
  stop.abort(new Error('stopped'));
  await expect(delivering).rejects.toThrow('stopped');
});
