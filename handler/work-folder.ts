import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';

/** A folder of one job, for files too large for memory. Few jobs have any, so it is made when the first one comes. */
export interface WorkFolder extends AsyncDisposable {
  /** Where a new file may go. */
  readonly newPath: () => Promise<string>;
}

/** Disposed, it is gone with all that is in it. */
export function openWorkFolder(log: Logger): WorkFolder {
  let made: Promise<string> | undefined;
  let isOver = false;
  return {
    newPath: async () => {
      if (isOver) throw new TypeError('The job is over, and its folder is gone');
      made ??= mkdtemp(join(tmpdir(), 'comfyui-worker-job-'));
      return join(await made, randomUUID());
    },
    [Symbol.asyncDispose]: async () => {
      isOver = true;
      const path = await made?.catch(() => undefined);
      if (path !== undefined) await remove(path, log);
    },
  };
}

/** The job is done all the same. */
async function remove(path: string, log: Logger): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true, maxRetries: 3 });
  } catch (error) {
    log.warn({ reason: describeError(error), path }, 'The folder of a job could not be removed');
  }
}
