import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A disk of 64 kB with not a byte left, or undefined where a test may not mount one: that takes root on Linux. */
export async function mountFullDisk() {
  const folder = await mkdtemp(join(tmpdir(), 'full-disk-'));
  try {
    await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', folder]);
  } catch (error) {
    process.stderr.write(`SKIPPED: a full disk cannot be mounted here: ${String(error)}\n`);
    await rm(folder, { recursive: true });
    return undefined;
  }
  const filling = join(folder, 'filling');
  await writeFile(filling, Buffer.alloc(1024 * 1024)).catch(() => undefined);
  return {
    folder,
    makeSpace: () => rm(filling),
    [Symbol.asyncDispose]: async () => {
      await run('umount', [folder]);
      await rm(folder, { recursive: true });
    },
  };
}
