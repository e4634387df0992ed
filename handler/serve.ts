import { hostname, tmpdir } from 'node:os';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Metrics } from '../lib/api/metrics.ts';
import { apiSettings } from '../lib/api/settings.ts';
import { startApi } from '../lib/api/start-api.ts';
import { invalidConfig } from '../lib/config.ts';
import { LocalQueue } from '../lib/runpod/local-queue.ts';
import { listenForShutdown } from '../lib/runpod/shutdown.ts';
import { VERSION } from '../lib/version.ts';
import { startEmbeddedComfy } from './embedded-comfy.ts';
import type { Mode } from './mode.ts';
import { startJobs } from './start-jobs.ts';

/** Serves the local API until told to stop. @returns the exit code. */
export async function serve({ config, flags, log }: Mode): Promise<number> {
  await using parts = new AsyncDisposableStack();
  using shutdown = listenForShutdown({ log });
  const settings = apiSettings(config, flags.serveApi);
  if (flags.simulate && config.RUNPOD_WEBHOOK_GET_JOB !== undefined)
    throw invalidConfig([NOT_HERE]);
  const comfy = flags.simulate ? parts.use(await startEmbeddedComfy()) : undefined;
  // What a worker has left in its own folder is for its platform, not for this queue.
  const folder = await mkdtemp(join(tmpdir(), 'comfyui-worker-api-'));
  parts.defer(() => rm(folder, { recursive: true, force: true }));

  const queue = new LocalQueue({ capacity: config.API_QUEUE_CAPACITY });
  const metrics = new Metrics();
  const jobs = parts.use(
    startJobs({
      config: {
        ...config,
        RESULT_SPOOL_DIR: folder,
        ...(comfy ? { COMFY_URL: comfy.url, COMFY_PID_FILE: join(folder, 'none') } : {}),
      },
      log,
      queue,
      extra: {
        simulated: comfy !== undefined,
        onTimings: (_jobId, timings) => metrics.recordPhases(timings),
      },
    }),
  );
  const worker = {
    workerId: config.RUNPOD_POD_ID ?? hostname(),
    places: config.JOB_CONCURRENCY + config.JOB_PREFETCH,
    comfyAnswers: (signal: AbortSignal) => jobs.comfy.answers(signal),
    undelivered: () => jobs.worker.undelivered,
  };
  const { WORKFLOWS_DIR: workflowsDir } = config;
  const listWorkflows = async () =>
    workflowsDir === undefined
      ? []
      : (await import('../lib/workflow/named.ts')).listWorkflows(workflowsDir);
  await Promise.all([import('file-type'), import('sharp')]);
  const api = parts.use(
    await startApi({ queue, settings, worker, log, version: VERSION, metrics, listWorkflows }),
  );
  shutdown.signal.addEventListener('abort', () => {
    api.stop();
    jobs.worker.stop();
  });
  await jobs.worker.done;
  return 0;
}

const NOT_HERE =
  '--simulate is refused where RUNPOD_WEBHOOK_GET_JOB is set: simulated pictures must never be taken for real ones';
