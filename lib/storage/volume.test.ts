import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { never, PIXELS, storedFile } from './test-file.ts';
import { hasVolume, Volume } from './volume.ts';

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'volume-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

test('a file is in the folder of its job, under its name, and no other file is there', async () => {
  await using folder = await temporaryFolder();
  const volume = new Volume(join(folder.path, 'outputs'));
  const path = await volume.put(storedFile(), never());
  expect(path).toBe(join(folder.path, 'outputs', 'job-1', 'a.png'));
  expect((await readFile(path)).equals(PIXELS)).toBe(true);
  expect(await readdir(join(folder.path, 'outputs', 'job-1'))).toEqual(['a.png']);
});

test('a job that is run again replaces its files', async () => {
  await using folder = await temporaryFolder();
  const volume = new Volume(folder.path);
  await volume.put(storedFile({ content: new Blob(['before']) }), never());
  const path = await volume.put(storedFile({ content: new Blob(['after']) }), never());
  expect(await readFile(path, 'utf8')).toBe('after');
});

test.each(['../..', '..', '/etc', 'a/../../b'])(
  'a job called %s stays in the folder',
  async (jobId) => {
    await using folder = await temporaryFolder();
    const path = await new Volume(folder.path).put(storedFile({ jobId }), never());
    expect(path.slice(folder.path.length).split('/')).toHaveLength(3);
  },
);

test('the error of a folder that cannot be written to names it, and no file is left', async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, 'job-1'), 'a file where a folder should be');
  await expect(new Volume(folder.path).put(storedFile(), never())).rejects.toThrow(
    new RegExp(`^\\[write\\] ${join(folder.path, 'job-1', 'a.png')}: E`),
  );
});

test('a job that is stopped leaves no part of a file', async () => {
  await using folder = await temporaryFolder();
  const stop = new AbortController();
  const content = new Blob([new Uint8Array(4_000_000)]);
  const put = new Volume(folder.path).put(storedFile({ content }), stop.signal);
  const stopped = expect(put).rejects.toThrow('stopped');
  stop.abort(new Error('stopped'));
  await stopped;
  expect(await readdir(join(folder.path, 'job-1')).catch(() => [])).toEqual([]);
});

test('there is a volume when the folder or its parent folder exists', async () => {
  await using folder = await temporaryFolder();
  await mkdir(join(folder.path, 'outputs'));
  expect(await hasVolume(join(folder.path, 'outputs'))).toBe(true);
  expect(await hasVolume(join(folder.path, 'new'))).toBe(true);
  expect(await hasVolume(join(folder.path, 'no', 'volume'))).toBe(false);
});
