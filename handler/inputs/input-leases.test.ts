import { expect, test } from '@jest/globals';
import { InputLeases, type InputUse } from './input-leases.ts';

const use = (writes: Record<string, string>, ...texts: string[]): InputUse => ({
  writes: new Map(Object.entries(writes).map(([path, digest]) => [path, () => digest])),
  texts,
});

/** Whether the lease is there once everything that can happen at once has happened. */
async function isHeld(lease: Promise<unknown>): Promise<boolean> {
  const later = new Promise<false>((resolve) => setImmediate(() => resolve(false)));
  return Promise.race([lease.then(() => true), later]);
}

const never = new AbortController().signal;

test('a job that would overwrite a file with other bytes waits until the prompt of the first job has ended', async () => {
  const leases = new InputLeases();
  const first = await leases.acquire(use({ 'in.png': 'red' }, 'in.png'), never);
  const second = leases.acquire(use({ 'in.png': 'blue' }, 'in.png'), never);
  expect(await isHeld(second)).toBe(false);
  first.release();
  expect(await isHeld(second)).toBe(true);
});

test('a job that would overwrite a file that a running workflow names waits for it', async () => {
  const leases = new InputLeases();
  const reader = await leases.acquire(use({}, 'a prompt', 'sub/in.png [input]'), never);
  const writer = leases.acquire(use({ 'in.png': 'blue' }), never);
  expect(await isHeld(writer)).toBe(false);
  reader.release();
  expect(await isHeld(writer)).toBe(true);
});

test('a job that reads a file still being written waits for the writer', async () => {
  const leases = new InputLeases();
  await leases.acquire(use({ 'in.png': 'red' }), never);
  expect(await isHeld(leases.acquire(use({}, 'in.png'), never))).toBe(false);
});

test('jobs with different file names do not wait for each other', async () => {
  const leases = new InputLeases();
  await leases.acquire(use({ 'in.png': 'red' }, 'in.png'), never);
  expect(await isHeld(leases.acquire(use({ 'other.png': 'red' }, 'other.png'), never))).toBe(true);
});

test('the same bytes are waited for until they are stored, and not stored again', async () => {
  const leases = new InputLeases();
  const first = await leases.acquire(use({ 'in.png': 'red' }, 'in.png'), never);
  const second = leases.acquire(use({ 'in.png': 'red', 'b.png': 'blue' }, 'in.png'), never);
  expect(await isHeld(second)).toBe(false);
  first.markStored();
  expect([...(await second).present.keys()]).toEqual(['in.png']);
  expect(first.present.size).toBe(0);
});

test('the same bytes are stored by the next job when the first upload failed', async () => {
  const leases = new InputLeases();
  const first = await leases.acquire(use({ 'in.png': 'red' }, 'in.png'), never);
  const second = leases.acquire(use({ 'in.png': 'red' }, 'in.png'), never);
  first.release();
  expect((await second).present.size).toBe(0);
});

test('a later job does not overtake a waiting one', async () => {
  const leases = new InputLeases();
  const first = await leases.acquire(use({ a: '1' }), never);
  const second = leases.acquire(use({ a: '2', b: '2' }), never);
  const third = leases.acquire(use({ b: '3' }), never);
  expect(await isHeld(third)).toBe(false);
  first.release();
  (await second).release();
  expect(await isHeld(third)).toBe(true);
});

test('a stopped job leaves the queue, and the next one is admitted', async () => {
  const leases = new InputLeases();
  const first = await leases.acquire(use({ a: '1' }), never);
  const stop = new AbortController();
  const second = leases.acquire(use({ a: '2', b: '2' }), stop.signal);
  const third = leases.acquire(use({ b: '3' }), never);
  stop.abort(new Error('stopped'));
  await expect(second).rejects.toThrow('stopped');
  expect(await isHeld(third)).toBe(true);
  first.release();
});

test('a job whose file another job has stored learns the path that ComfyUI gave it', async () => {
  const leases = new InputLeases();
  const first = await leases.acquire(use({ 'in.png': 'red' }), never);
  const second = leases.acquire(use({ 'in.png': 'red' }), never);
  first.markStored(new Map([['in.png', 'in (1).png']]));
  expect([...(await second).present]).toEqual([['in.png', 'in (1).png']]);
});
