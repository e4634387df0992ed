import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { systemClock } from '../../clock.ts';
import { MemoryFile } from '../../file-content.ts';
import { ScriptedComfy } from '../scripted-comfy.ts';
import { LIMITS } from '../settings.ts';
import { never } from '../test-comfy.ts';
import { ComfyClient } from './client.ts';

/** A request that ComfyUI never answers stands for one on a half-open connection. */

const image = {
  name: 'a.png',
  content: new MemoryFile(Buffer.from('png')),
  mediaType: 'image/png',
};

function openClient(url: string) {
  const limits = { ...LIMITS, stallMs: 50, probeMs: 100 };
  return new ComfyClient({ url, requestTimeoutMs: 20_000, limits }, systemClock);
}

test('an upload on a half-open connection is sent again while ComfyUI answers others', async () => {
  await using scripted = await ScriptedComfy.start();
  await using client = openClient(scripted.url);
  let uploads = 0;
  scripted.script('POST /upload', () =>
    ++uploads === 1 ? undefined : { body: '{"name":"a.png"}' },
  );
  expect(await client.uploadFile(image, never)).toMatchObject({ name: 'a.png' });
  expect(scripted.count('POST /upload')).toBe(2);
});

test('a history read on a half-open connection is sent again', async () => {
  await using scripted = await ScriptedComfy.start();
  await using client = openClient(scripted.url);
  let reads = 0;
  scripted.script('GET /history', () => (++reads === 1 ? undefined : { body: '{"p":{"a":1}}' }));
  expect((await client.history('p', never))?.text).toBe('{"a":1}');
});

test('nothing is sent again while ComfyUI answers nobody', async () => {
  await using scripted = await ScriptedComfy.start();
  await using client = openClient(scripted.url);
  scripted.script('GET /history', async () => {
    await sleep(500);
    return { body: '{}' };
  });
  scripted.script('GET /', () => undefined);
  expect(await client.history('p', never)).toBeUndefined();
  expect(scripted.count('GET /history')).toBe(1);
});

test('a request that is slow twice may take its time the second time', async () => {
  await using scripted = await ScriptedComfy.start();
  await using client = openClient(scripted.url);
  scripted.script('GET /history', async () => {
    await sleep(400);
    return { body: '{}' };
  });
  expect(await client.history('p', never)).toBeUndefined();
  expect(scripted.count('GET /history')).toBe(2);
});

test('a prompt is never sent again for being slow', async () => {
  await using scripted = await ScriptedComfy.start();
  await using client = openClient(scripted.url);
  scripted.script('POST /prompt', async () => {
    await sleep(400);
    return { body: '{}' };
  });
  await client.postPrompt('{}', never);
  expect(scripted.count('POST /prompt')).toBe(1);
});
