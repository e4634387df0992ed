import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { InputLeases } from '../inputs/input-leases.ts';
import { OwnInputs } from './removal.ts';

async function openPlace() {
  const root = await mkdtemp(join(tmpdir(), 'own-inputs-'));
  const leases = new InputLeases();
  const owned = new OwnInputs(leases);
  const problems: string[] = [];
  return {
    leases,
    owned,
    root,
    problems,
    store: (name: string) => writeFile(join(root, name), name),
    remove: (...names: string[]) => owned.remove(names, (name) => problems.push(name)),
    names: async () => (await readdir(root)).sort(),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true }),
  };
}

test('a file that existed before it was noted is not removed', async () => {
  await using place = await openPlace();
  await place.store('before.png');
  await place.owned.noteNew(place.root, ['before.png', 'new.png']);
  await place.store('new.png');
  await place.remove('before.png', 'new.png', 'unknown.png');
  expect(await place.names()).toEqual(['before.png']);
});

test.each([
  ['reads it', { writes: new Map<string, () => string>(), texts: ['sub/a.png [input]'] }],
  ['has stored it too', { writes: new Map([['a.png', () => 'digest']]), texts: [] }],
])('a file is kept while another job %s, and removed by the next call', async (_, use) => {
  await using place = await openPlace();
  await place.owned.noteNew(place.root, ['a.png']);
  await place.store('a.png');
  const lease = await place.leases.acquire(use, new AbortController().signal);
  await place.remove('a.png');
  expect(await place.names()).toEqual(['a.png']);
  lease.release();
  await place.remove();
  expect(await place.names()).toEqual([]);
});

test('a job that wants the name waits until the file is removed', async () => {
  await using place = await openPlace();
  await place.owned.noteNew(place.root, ['a.png']);
  await place.store('a.png');
  const removed = place.remove('a.png');
  const use = { writes: new Map([['a.png', () => 'digest']]), texts: [] };
  await place.leases.acquire(use, new AbortController().signal);
  expect(await place.names()).toEqual([]);
  await removed;
});

test('names that lead out of the folder or cannot be file names are never noted', async () => {
  await using place = await openPlace();
  const names = ['../a.png', '/tmp/never-there.png', 'a\0b', 'x'.repeat(300), ''];
  await place.owned.noteNew(place.root, names);
  await place.remove(...names);
  expect(place.problems).toEqual([]);
});

test('a file that cannot be removed is reported once', async () => {
  await using place = await openPlace();
  const elsewhere = await mkdtemp(join(tmpdir(), 'own-inputs-'));
  await using _removed = { [Symbol.asyncDispose]: () => rm(elsewhere, { recursive: true }) };
  await mkdir(join(place.root, 'sub'));
  await place.owned.noteNew(place.root, ['sub/a.png']);
  await rm(join(place.root, 'sub'), { recursive: true });
  await symlink(elsewhere, join(place.root, 'sub'));
  await place.remove('sub/a.png');
  await place.remove();
  expect(place.problems).toEqual(['sub/a.png']);
});
