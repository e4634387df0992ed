import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { findOutputPlace } from './output-files.ts';

const NOW = new Date(2026, 0, 7, 9, 5, 3);

async function startFolder() {
  const path = await mkdtemp(join(tmpdir(), 'output-names-'));
  return {
    path,
    place: (prefix: string) => findOutputPlace(path, { prefix, width: 640, height: 480, now: NOW }),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true }),
  };
}

test('the counter has five digits, starts at one, and increases with every name', async () => {
  await using folder = await startFolder();
  const { nextName, subfolder } = await folder.place('ComfyUI');
  expect([nextName(0), nextName(1)]).toEqual(['ComfyUI_00001_', 'ComfyUI_00002_']);
  expect(subfolder).toBe('');
});

test('the counter continues after the highest file of that name, with any extension', async () => {
  await using folder = await startFolder();
  const files = [
    'T_00003_.png',
    'T_00007_.webp',
    'T_00009.png',
    'T_x_.png',
    'Tx_00050_.png',
    'T2_00060_.png',
  ];
  for (const file of files) await writeFile(join(folder.path, file), '');
  expect((await folder.place('T')).nextName(0)).toBe('T_00010_');
});

test('a counter beyond five digits grows', async () => {
  await using folder = await startFolder();
  await writeFile(join(folder.path, 'T_99999_.png'), '');
  expect((await folder.place('T')).nextName(0)).toBe('T_100000_');
});

test('numbers of deleted files are used again', async () => {
  await using folder = await startFolder();
  await writeFile(join(folder.path, 'T_00001_.png'), '');
  await rm(join(folder.path, 'T_00001_.png'));
  expect((await folder.place('T')).nextName(0)).toBe('T_00001_');
});

test('a prefix with a slash creates a subfolder', async () => {
  await using folder = await startFolder();
  const place = await folder.place('a/b/c');
  expect(place).toMatchObject({ subfolder: 'a/b', folder: join(folder.path, 'a', 'b') });
  expect(place.nextName(0)).toBe('c_00001_');
  expect(await readdir(join(folder.path, 'a'))).toEqual(['b']);
});

test('tokens of size and time are replaced, those of the editor are not', async () => {
  await using folder = await startFolder();
  const prefix =
    '%year%-%month%-%day%_%hour%%minute%%second%_%width%x%height%_%date:yyyy%_%Node.seed%';
  const { nextName } = await folder.place(prefix);
  expect(nextName(0)).toBe('2026-01-07_090503_640x480_%date:yyyy%_%Node.seed%_00001_');
});

test('with %batch_num% every run starts at one and overwrites', async () => {
  await using folder = await startFolder();
  await writeFile(join(folder.path, 'T0_00001_.png'), '');
  const { nextName } = await folder.place('T%batch_num%');
  expect([nextName(0), nextName(1)]).toEqual(['T0_00001_', 'T1_00002_']);
});

test('an empty prefix gives a dot', async () => {
  await using folder = await startFolder();
  expect((await folder.place('')).nextName(0)).toBe('._00001_');
});

test.each(['../x', 'a/../../x', '/etc/x'])(
  'the prefix %s must not leave the output folder',
  async (prefix) => {
    await using folder = await startFolder();
    await expect(folder.place(prefix)).rejects.toMatchObject({
      name: 'Exception',
      message: expect.stringContaining('Saving image outside the output folder is not allowed.'),
    });
  },
);
