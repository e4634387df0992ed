import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeError } from '../../errors.ts';
import { Findings, type Check } from './finding.ts';

/** Where results wait that could not be posted: it has to take one, and should have room for some. */
export const spoolCheck: Check = {
  subject: 'Spool',
  look: async ({ config: { RESULT_SPOOL_DIR: folder, RESULT_MAX_BYTES: most } }) => {
    const found = new Findings('Spool');
    try {
      await tryToWrite(folder);
      const left = (await readdir(folder)).filter((name) => !name.startsWith(PROBE));
      found.ok(
        `${folder} can be written${left.length > 0 ? `; ${left.length} results wait there` : ''}`,
      );
      await judgeRoom(folder, most, found);
    } catch (error) {
      found.broken(
        `${folder} cannot be written: ${describeError(error)}`,
        'set RESULT_SPOOL_DIR to a folder this user may write to; without one a result is lost with its worker',
      );
    }
    return found.all;
  },
};

async function tryToWrite(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, `${PROBE}${randomUUID()}`);
  try {
    await writeFile(path, PROBE);
    if ((await readFile(path, 'utf8')) !== PROBE) throw new Error('what was written is not there');
  } finally {
    await rm(path, { force: true });
  }
}

async function judgeRoom(folder: string, most: number, found: Findings): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const results = Math.floor((bavail * bsize) / most);
  if (results >= FEW) return;
  found.warning(
    `${folder} has room for ${results} of the largest results`,
    'free some of that disk, or set RESULT_SPOOL_DIR to another one',
  );
}

const PROBE = 'doctor-';
const FEW = 5;
