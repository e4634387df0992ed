import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder of one job, for files too large for memory. Disposed, it is gone with all that is in it. */
export interface WorkFolder extends AsyncDisposable {
  readonly path: string;
}

export async function openWorkFolder(): Promise<WorkFolder> {
  const path = await mkdtemp(join(tmpdir(), 'comfyui-worker-job-'));
  const remove = () => rm(path, { recursive: true, force: true, maxRetries: 3 });
  return { path, [Symbol.asyncDispose]: remove };
}
