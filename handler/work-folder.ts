import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from '../lib/log.ts';

/** A folder of one job, for files too large for memory. Disposed, it is gone with all that is in it. */
export interface WorkFolder extends AsyncDisposable {
  readonly path: string;
}

export async function openWorkFolder(log: Logger): Promise<WorkFolder> {
  const path = await mkdtemp(join(tmpdir(), 'comfyui-worker-job-'));
  const remove = async () => {
    try {
      await rm(path, { recursive: true, force: true, maxRetries: 3 });
    } catch (error) {
      // The job is done all the same.
      log.warn({ err: error, path }, 'The folder of a job could not be removed');
    }
  };
  return { path, [Symbol.asyncDispose]: remove };
}
