import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../lib/config.ts';
import { toText } from '../../lib/json-body.ts';
import type { Logger } from '../../lib/log.ts';
import { LocalQueue } from '../../lib/queues/local/local-queue.ts';
import { readTestInput } from '../test-input.ts';
import { toWireBody } from '../../lib/queues/runpod/wire.ts';
import type { ComfySimulator } from '../../lib/simulator/comfy/simulator.ts';
import { listenForShutdown } from '../../lib/worker/shutdown.ts';
import { DeadlyJobs } from '../deadly-jobs.ts';
import type { JobLineOptions } from '../handle-job.ts';
import { runBesideComfy, runBeforeStart } from './around-start.ts';
import {
  startJobs,
  startSupervisor,
  type JobsOptions,
  type ModeStart,
  type RunningJobs,
} from '../start-jobs.ts';

/** Runs the job of `--test_input`. @returns 0, or 1 when the job failed. */
export async function runOneJob(start: ModeStart): Promise<number> {
  const { config, flags, log } = start;
  using shutdown = listenForShutdown({ log });
  const job = readTestInput(flags.testInput ?? '');
  await runBeforeStart(start, shutdown.signal);
  await using supervisor = await startSupervisor(start);
  using _ = runBesideComfy(start, supervisor);
  await using jobs = await startLocalJobs({
    config,
    log,
    supervisor,
    waitsForComfy: supervisor !== undefined,
  });
  shutdown.onStop(() => jobs.worker.kill());
  const result = await jobs.queue.submit(job, { signal: shutdown.signal });
  const identity = { hostname: config.RUNPOD_POD_HOSTNAME, podId: 'unknown' };
  const body = toWireBody({ kind: 'result', result }, identity);
  log.info({ result: toText(body) }, 'Result');
  return result.error === undefined ? 0 : 1;
}

/** A worker that takes jobs from a queue in memory. */
export interface LocalJobs extends RunningJobs {
  readonly queue: LocalQueue;
  /** URL of its ComfyUI. */
  readonly comfyUrl: string;
}

/** Starts a worker on a queue in the memory of this process. */
export async function startLocalJobs(
  options: Pick<JobsOptions, 'config' | 'log' | 'supervisor' | 'waitsForComfy'> & {
    /** Use the embedded ComfyUI instead of the one at `COMFY_URL`. */
    readonly simulate?: boolean;
    /** Most jobs in the queue; default 1000. */
    readonly capacity?: number;
    readonly onTimings?: JobLineOptions['onTimings'];
  },
): Promise<LocalJobs> {
  const { log, simulate = false, capacity, onTimings, supervisor, waitsForComfy } = options;
  await using parts = new AsyncDisposableStack();
  const simulator = simulate ? parts.use(await startEmbeddedComfy(log)) : undefined;
  // A spool folder of its own: results that a platform's worker left in the usual one must not be posted here.
  const folder = await mkdtemp(join(tmpdir(), 'comfyui-worker-local-'));
  parts.defer(() => rm(folder, { recursive: true, force: true }));
  const config: Config = {
    ...options.config,
    RESULT_SPOOL_DIR: folder,
    ...(simulator && { COMFY_URL: simulator.url, COMFY_PID_FILE: join(folder, 'none') }),
  };
  const queue = new LocalQueue(capacity === undefined ? {} : { capacity });
  const extra = {
    simulated: simulate,
    // In the usual folder, where `doctor` looks.
    ...(!simulate && { deadlyJobs: new DeadlyJobs(options.config, { log }) }),
    ...(onTimings && { onTimings }),
  };
  const { worker, comfy } = parts.use(
    startJobs({
      ...{ config, log, queue, extra, supervisor },
      waitsForComfy: waitsForComfy ?? false,
    }),
  );
  const started = parts.move();
  return {
    queue,
    worker,
    comfy,
    comfyUrl: config.COMFY_URL,
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

/** The simulated ComfyUI, with the models that examples and templates use. Loaded only when it is asked for. */
async function startEmbeddedComfy(log: Logger): Promise<ComfySimulator> {
  const [{ startComfySimulator }, { simulatedModels }] = await Promise.all([
    import('../../lib/simulator/comfy/simulator.ts'),
    import('../../lib/simulator/comfy/nodes/registry.ts'),
  ]);
  return startComfySimulator({ models: await simulatedModels(), log });
}
