import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { readConfig } from '../lib/config.ts';
import { JsonText } from '../lib/json.ts';
import { DeadlyJobs } from './deadly-jobs.ts';

const input = JsonText.of({ workflow: { '1': {} } });

async function newFolder() {
  const folder = await mkdtemp(join(tmpdir(), 'deadly-'));
  return {
    open: (ttlS = '3600') =>
      new DeadlyJobs(readConfig({ RESULT_SPOOL_DIR: folder, DEADLY_JOB_TTL_S: ttlS })),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

test('a job that killed ComfyUI is refused by the next worker on this disk, with the date', async () => {
  await using folder = await newFolder();
  await folder.open().remember(input, 'j');
  const today = new Date().toISOString().slice(0, 10);
  await expect(folder.open().refuse(input)).rejects.toMatchObject({
    code: 'job.deadly',
    message: expect.stringContaining(`last at ${today}T`),
  });
  await folder.open().refuse(JsonText.of({ workflow: { '2': {} } }));
});

test('a list that was cleared, or is too old, refuses nothing', async () => {
  await using folder = await newFolder();
  await folder.open().remember(input, 'j');
  await folder.open('0').refuse(input);
  await folder.open().clear();
  await folder.open().refuse(input);
});
