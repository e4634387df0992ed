import { hostname } from 'node:os';
import type { ApiWorker } from '../lib/api/server/api-worker.ts';
import { Metrics } from '../lib/api/server/metrics.ts';
import { apiSettings } from '../lib/api/server/settings.ts';
import { startApi } from '../lib/api/server/start-api.ts';
import type { ListWorkflows } from '../lib/api/server/operator-routes.ts';
import { invalidConfig, type Config } from '../lib/config.ts';
import { listenForShutdown } from '../lib/worker/shutdown.ts';
import { VERSION } from '../lib/version.ts';
import { startLocalJobs, type LocalJobs } from './local-jobs.ts';
import type { Mode } from './mode.ts';

/** Serves the local API until told to stop. @returns the exit code. */
export async function serve({ config, flags, log }: Mode): Promise<number> {
  await using parts = new AsyncDisposableStack();
  using shutdown = listenForShutdown({ log });
  const settings = apiSettings(config, flags.serveApi);
  if (flags.simulate && config.RUNPOD_WEBHOOK_GET_JOB !== undefined)
    throw invalidConfig([NOT_HERE]);

  const metrics = new Metrics();
  const jobs = parts.use(
    await startLocalJobs({
      config,
      log,
      simulate: flags.simulate,
      capacity: config.API_QUEUE_CAPACITY,
      onTimings: (_jobId, timings) => metrics.recordPhases(timings),
    }),
  );
  await loadAhead();
  const api = parts.use(
    await startApi({
      queue: jobs.queue,
      settings,
      worker: apiWorker(jobs, config),
      log,
      version: VERSION,
      metrics,
      listWorkflows: workflowsOf(config),
    }),
  );
  shutdown.whenTold(() => {
    api.stop();
    jobs.worker.stop();
  });
  await jobs.worker.done;
  return 0;
}

/** What the first jobs need, so that loading it does not stop the event loop when there are clients. */
async function loadAhead(): Promise<void> {
  await Promise.allSettled([import('file-type'), import('sharp')]); // whoever needs one that is broken says so
}

function apiWorker({ worker, comfy }: LocalJobs, config: Config): ApiWorker {
  return {
    workerId: config.RUNPOD_POD_ID ?? hostname(),
    slots: config.JOB_CONCURRENCY + config.JOB_PREFETCH,
    comfyAnswers: (signal) => comfy.isReachable(signal),
    undelivered: () => worker.undelivered,
  };
}

function workflowsOf({ WORKFLOWS_DIR: folder }: Config): ListWorkflows {
  return async () =>
    folder === undefined
      ? []
      : (await import('../lib/workflow/named/named.ts')).listWorkflows(folder);
}

const NOT_HERE =
  '--simulate is refused where RUNPOD_WEBHOOK_GET_JOB is set: simulated pictures must never be taken for real ones';
