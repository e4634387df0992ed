import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from '@jest/globals';
import { systemClock } from '../lib/clock.ts';
import { silentLog } from '../lib/comfy/test-comfy.ts';
import { JobScope } from './job-scope.ts';
import { openTestScope } from './test/rigs/test-scope.ts';

test('a job without files creates no scratch folder', async () => {
  const place = await mkdtemp(join(tmpdir(), 'no-folder-'));
  const { TMPDIR } = process.env;
  process.env.TMPDIR = place;
  try {
    const scope = openTestScope();
    await scope[Symbol.asyncDispose]();
    await expect(scope.newScratchPath()).rejects.toThrow('The job is over');
    expect(await readdir(place)).toEqual([]);
  } finally {
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
    await rm(place, { recursive: true });
  }
});

test('all files of a job share one scratch folder, which is removed when the job ends', async () => {
  const scope = openTestScope();
  const paths = await Promise.all([scope.newScratchPath(), scope.newScratchPath()]);
  expect(new Set(paths).size).toBe(2);
  const folders = new Set(paths.map((path) => dirname(path)));
  expect(folders.size).toBe(1);
  for (const path of paths) await writeFile(path, 'bytes');
  await scope[Symbol.asyncDispose]();
  expect([...folders].filter((folder) => existsSync(folder))).toEqual([]);
});

test('of many notes fifty are kept, and a count of the others', async () => {
  await using scope = openTestScope();
  for (let number = 0; number < 100_000; number++) scope.note(`note ${number}`);
  scope.note('note 0');
  expect(scope.notes).toHaveLength(51);
  expect(scope.notes.at(-1)).toBe('... and 99950 more');
});

test('stores have to be done ten seconds before the job gives up', async () => {
  await using scope = openTestScope();
  const before = systemClock.now();
  const { storeUntil } = scope.startDelivery();
  expect(storeUntil - before).toBeGreaterThanOrEqual(3_600_000 + 20_000 - 1000);
  expect(storeUntil - systemClock.now()).toBeLessThanOrEqual(3_600_000 + 20_000);
});

test('a job whose time is up says where its last attempt stood, not the one before', async () => {
  const { signal } = new AbortController();
  await using scope = new JobScope({ jobId: 'j', signal, log: silentLog, timeoutMs: 20 });
  scope.startAttempt(1);
  for (const phase of ['ready', 'staged', 'executed'] as const) scope.endPhase(phase);
  scope.startAttempt(2);
  await once(scope.signal, 'abort');
  expect(scope.timeout?.message).toMatch(/was stopped while it waited for ComfyUI;/);
});
