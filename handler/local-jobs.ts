import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../lib/config.ts';
import type { Logger } from '../lib/log.ts';
import { LocalQueue } from '../lib/queues/local/local-queue.ts';
import { startEmbeddedComfy } from './embedded-comfy.ts';
import type { JobLineOptions } from './handle-job.ts';
import { startJobs, type Jobs } from './start-jobs.ts';

export interface LocalJobsOptions {
  readonly config: Config;
  readonly log: Logger;
  /** Puts the embedded ComfyUI behind it, in place of the one at `COMFY_URL`. */
  readonly simulate?: boolean;
  /** Jobs that may be in the queue; a thousand when left out. */
  readonly capacity?: number;
  readonly onTimings?: JobLineOptions['onTimings'];
}

/** A worker on a queue in memory. */
export interface LocalJobs extends Jobs {
  readonly queue: LocalQueue;
  /** Where its ComfyUI is. */
  readonly comfyUrl: string;
}

/** Starts to take jobs from a queue of this process. */
export async function startLocalJobs(options: LocalJobsOptions): Promise<LocalJobs> {
  const { log, simulate = false, capacity, onTimings } = options;
  await using parts = new AsyncDisposableStack();
  const simulator = simulate ? parts.use(await startEmbeddedComfy()) : undefined;
  // What a worker has left in its own folder is for its platform, not for this queue.
  const folder = await mkdtemp(join(tmpdir(), 'comfyui-worker-local-'));
  parts.defer(() => rm(folder, { recursive: true, force: true }));
  const config: Config = {
    ...options.config,
    RESULT_SPOOL_DIR: folder,
    ...(simulator && { COMFY_URL: simulator.url, COMFY_PID_FILE: join(folder, 'none') }),
  };
  const queue = new LocalQueue(capacity === undefined ? {} : { capacity });
  const extra = { simulated: simulate, ...(onTimings && { onTimings }) };
  const { worker, comfy } = parts.use(startJobs({ config, log, queue, extra }));
  const started = parts.move();
  return {
    queue,
    worker,
    comfy,
    comfyUrl: config.COMFY_URL,
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}
