import { lstat, mkdir, mkdtemp, readdir, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { isOnNetworkVolume, removeWithin } from './removal.ts';

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

test('a folder is removed with its content, and nothing beside it', async () => {
  await using place = await openPlace();
  await mkdir(join(place.root, 'jobs/11'));
  await removeWithin(place.root, 'jobs/1');
  expect(await readdir(join(place.root, 'jobs'))).toEqual(['11']);
});

test.each(['nothing', 'no/thing', 'jobs/1/b.png'])(
  'removing %s, which does not exist, does nothing',
  async (path) => {
    await using place = await openPlace();
    await removeWithin(place.root, path);
    expect(await readdir(join(place.root, 'jobs/1'))).toEqual(['a.png']);
  },
);

test('links inside a folder are removed, and their targets are kept', async () => {
  await using place = await openPlace();
  await symlink(place.outside, join(place.root, 'jobs/1/folder'));
  await symlink(join(place.outside, 'kept.png'), join(place.root, 'jobs/1/file'));
  await removeWithin(place.root, 'jobs/1');
  expect(await readdir(join(place.root, 'jobs'))).toEqual([]);
  expect(await readdir(place.outside)).toEqual(['kept.png']);
});

test('a folder that is itself a link is removed, and its target is kept', async () => {
  await using place = await openPlace();
  await symlink(place.outside, join(place.root, 'jobs/2'));
  await removeWithin(place.root, 'jobs/2');
  await expect(lstat(join(place.root, 'jobs/2'))).rejects.toThrow('ENOENT');
  expect(await readdir(place.outside)).toEqual(['kept.png']);
});

test('a path through a link is not removed', async () => {
  await using place = await openPlace();
  await symlink(place.outside, join(place.root, 'link'));
  await expect(removeWithin(place.root, 'link/kept.png')).rejects.toThrow(/leads out of/);
  expect(await readdir(place.outside)).toEqual(['kept.png']);
});

test.each(['', '.', '..', '../outside', '../outside/kept.png', '/tmp', 'jobs/../../outside'])(
  'neither the root nor anything beside it is removed: %j',
  async (path) => {
    await using place = await openPlace();
    await expect(removeWithin(place.root, path)).rejects.toThrow(/leads out of/);
    expect(await readdir(place.outside)).toEqual(['kept.png']);
    expect(await readdir(join(place.root, 'jobs/1'))).toEqual(['a.png']);
  },
);

test('the root may be reached through a link', async () => {
  await using place = await openPlace();
  const link = join(place.outside, 'link');
  await symlink(place.root, link);
  await removeWithin(link, 'jobs/1');
  expect(await readdir(join(place.root, 'jobs'))).toEqual([]);
});

test('a folder is on a network volume when it is the volume, lies within it, or is a link to it', async () => {
  const base = await realpath(await mkdtemp(join(tmpdir(), 'network-volume-')));
  await using _removed = { [Symbol.asyncDispose]: () => rm(base, { recursive: true }) };
  const volume = join(base, 'volume');
  const at = (...path: string[]) => join(base, ...path);
  await mkdir(at('volume', 'output'), { recursive: true });
  await mkdir(at('volume-2'));
  await symlink(at('volume', 'output'), at('link'));
  expect(await isOnNetworkVolume(volume, [volume])).toBe(true);
  expect(await isOnNetworkVolume(at('volume', 'output'), [volume])).toBe(true);
  expect(await isOnNetworkVolume(at('link'), [volume])).toBe(true);
  expect(await isOnNetworkVolume(at('volume-2'), [volume])).toBe(false);
  expect(await isOnNetworkVolume(base, [volume])).toBe(false);
  expect(await isOnNetworkVolume(base)).toBe(false);
  expect(await isOnNetworkVolume(at('gone'))).toBe(true);
});
