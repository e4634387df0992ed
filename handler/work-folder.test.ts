import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from '@jest/globals';
import { silentLog } from '../lib/comfy/test-comfy.ts';
import { openWorkFolder } from './work-folder.ts';

test('a job without files makes no folder', async () => {
  const place = await mkdtemp(join(tmpdir(), 'no-folder-'));
  const { TMPDIR } = process.env;
  process.env.TMPDIR = place;
  try {
    const folder = openWorkFolder(silentLog);
    await folder[Symbol.asyncDispose]();
    await expect(folder.newPath()).rejects.toThrow('The job is over');
    expect(await readdir(place)).toEqual([]);
  } finally {
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
    await rm(place, { recursive: true });
  }
});

test('a folder is made for the first file, shared by the others, and gone with them', async () => {
  const folder = openWorkFolder(silentLog);
  const paths = await Promise.all([folder.newPath(), folder.newPath()]);
  expect(new Set(paths).size).toBe(2);
  const places = new Set(paths.map((path) => dirname(path)));
  expect(places.size).toBe(1);
  for (const path of paths) await writeFile(path, 'bytes');
  await folder[Symbol.asyncDispose]();
  expect([...places].filter((place) => existsSync(place))).toEqual([]);
});
