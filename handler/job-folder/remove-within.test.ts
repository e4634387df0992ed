import { lstat, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { removeWithin } from './remove-within.ts';

/** `root` with `jobs/1/a.png`, and `outside` with `kept.png`. */
async function openPlace() {
  const base = await mkdtemp(join(tmpdir(), 'remove-within-'));
  const [root, outside] = [join(base, 'root'), join(base, 'outside')];
  await mkdir(join(root, 'jobs/1'), { recursive: true });
  await mkdir(outside);
  await writeFile(join(root, 'jobs/1/a.png'), 'a');
  await writeFile(join(outside, 'kept.png'), 'kept');
  return { root, outside, [Symbol.asyncDispose]: () => rm(base, { recursive: true }) };
}

test('a folder goes with all that is in it, and nothing beside it', async () => {
  await using place = await openPlace();
  await mkdir(join(place.root, 'jobs/11'));
  await removeWithin(place.root, 'jobs/1');
  expect(await readdir(join(place.root, 'jobs'))).toEqual(['11']);
});

test.each(['nothing', 'no/thing', 'jobs/1/b.png'])('%s that is not there is fine', async (path) => {
  await using place = await openPlace();
  await removeWithin(place.root, path);
  expect(await readdir(join(place.root, 'jobs/1'))).toEqual(['a.png']);
});

test('links inside a folder go, and what they lead to stays', async () => {
  await using place = await openPlace();
  await symlink(place.outside, join(place.root, 'jobs/1/folder'));
  await symlink(join(place.outside, 'kept.png'), join(place.root, 'jobs/1/file'));
  await removeWithin(place.root, 'jobs/1');
  expect(await readdir(join(place.root, 'jobs'))).toEqual([]);
  expect(await readdir(place.outside)).toEqual(['kept.png']);
});

test('a folder that is itself a link goes, and what it leads to stays', async () => {
  await using place = await openPlace();
  await symlink(place.outside, join(place.root, 'jobs/2'));
  await removeWithin(place.root, 'jobs/2');
  await expect(lstat(join(place.root, 'jobs/2'))).rejects.toThrow('ENOENT');
  expect(await readdir(place.outside)).toEqual(['kept.png']);
});

test('nothing is removed beyond a link on the way', async () => {
  await using place = await openPlace();
  await symlink(place.outside, join(place.root, 'link'));
  await expect(removeWithin(place.root, 'link/kept.png')).rejects.toThrow(/leads out of/);
  expect(await readdir(place.outside)).toEqual(['kept.png']);
});

test.each(['', '.', '..', '../outside', '../outside/kept.png', '/tmp', 'jobs/../../outside'])(
  'neither the root nor what is beside it is removed: %j',
  async (path) => {
    await using place = await openPlace();
    await expect(removeWithin(place.root, path)).rejects.toThrow(/leads out of/);
    expect(await readdir(place.outside)).toEqual(['kept.png']);
    expect(await readdir(join(place.root, 'jobs/1'))).toEqual(['a.png']);
  },
);

test('a root that is reached by a link is one like any other', async () => {
  await using place = await openPlace();
  const link = join(place.outside, 'link');
  await symlink(place.root, link);
  await removeWithin(link, 'jobs/1');
  expect(await readdir(join(place.root, 'jobs'))).toEqual([]);
});
