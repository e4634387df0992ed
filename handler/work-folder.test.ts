import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { expect, test } from '@jest/globals';
import { silentLog } from '../lib/comfy/test-comfy.ts';
import { openWorkFolder } from './work-folder.ts';

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
