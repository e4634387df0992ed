import { mkdir, mkdtemp, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { isOnVolume } from './network-volume.ts';

test('a folder is on a volume when it is it, lies in it, or leads there', async () => {
  const base = await realpath(await mkdtemp(join(tmpdir(), 'network-volume-')));
  await using _removed = { [Symbol.asyncDispose]: () => rm(base, { recursive: true }) };
  const volume = join(base, 'volume');
  const at = (...path: string[]) => join(base, ...path);
  await mkdir(at('volume', 'output'), { recursive: true });
  await mkdir(at('volume-2'));
  await symlink(at('volume', 'output'), at('link'));
  expect(await isOnVolume(volume, [volume])).toBe(true);
  expect(await isOnVolume(at('volume', 'output'), [volume])).toBe(true);
  expect(await isOnVolume(at('link'), [volume])).toBe(true);
  expect(await isOnVolume(at('volume-2'), [volume])).toBe(false);
  expect(await isOnVolume(base, [volume])).toBe(false);
  expect(await isOnVolume(base)).toBe(false);
  expect(await isOnVolume(at('gone'))).toBe(true);
});
