import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toText } from '../lib/json-body.ts';
import { readLocalJob } from '../lib/runpod/local-job.ts';
import { LocalQueue } from '../lib/runpod/local-queue.ts';
import { listenForShutdown } from '../lib/runpod/shutdown.ts';
import type { Mode } from './mode.ts';
import { startJobs } from './start-jobs.ts';

/** Runs the job of `--test_input` or `test_input.json`. @returns 0, or 1 when the job failed. */
export async function runOneJob({ config, flags, log }: Mode): Promise<number> {
  await using parts = new AsyncDisposableStack();
  using shutdown = listenForShutdown({ log });
  const job = await readLocalJob(flags);
  const queue = new LocalQueue();
  // What a worker has left in its own folder is for its platform, not for this queue.
  const folder = await mkdtemp(join(tmpdir(), 'comfyui-worker-once-'));
  parts.defer(() => rm(folder, { recursive: true, force: true }));
  const { worker } = parts.use(
    startJobs({ config: { ...config, RESULT_SPOOL_DIR: folder }, log, queue }),
  );
  shutdown.signal.addEventListener('abort', () => worker.kill());
  const result = await queue.submit(job, { signal: shutdown.signal });
  log.info({ result: toText(result) }, 'Result');
  return result.error === undefined ? 0 : 1;
}
