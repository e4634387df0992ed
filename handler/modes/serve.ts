import { hostname } from 'node:os';
import { Metrics } from '../../lib/api/server/metrics.ts';
import { apiSettings } from '../../lib/api/server/settings.ts';
import { startApi } from '../../lib/api/server/start-api.ts';
import { invalidConfig } from '../../lib/config.ts';
import { listenForShutdown } from '../../lib/worker/shutdown.ts';
import { VERSION } from '../../lib/version.ts';
import { workflowService } from './workflow-service.ts';
import { startLocalJobs } from './local-jobs.ts';
import { runBesideComfy, runBeforeStart } from './around-start.ts';
import { startSupervisor, finishInTime, type ModeStart } from '../start-jobs.ts';

/** Serves the local API until told to stop. @returns the exit code. */
export async function serve(start: ModeStart): Promise<number> {
  const { config, flags, log } = start;
  await using parts = new AsyncDisposableStack();
  using shutdown = listenForShutdown({ log });
  const settings = apiSettings(config, flags.serveApi);
  if (flags.simulate && config.RUNPOD_WEBHOOK_GET_JOB !== undefined)
    throw invalidConfig([SIMULATE_REFUSED]);

  if (!flags.simulate) await runBeforeStart(start, shutdown.signal);
  const supervisor = parts.use(flags.simulate ? undefined : await startSupervisor(start));
  parts.use(runBesideComfy(start, supervisor));
  const metrics = new Metrics();
  const jobs = parts.use(
    await startLocalJobs({
      config,
      log,
      simulate: flags.simulate,
      supervisor,
      waitsForComfy: true,
      capacity: config.API_QUEUE_CAPACITY,
      onTimings: (_jobId, timings) => metrics.recordPhases(timings),
    }),
  );
  // Loaded now, because loading stops the event loop, and clients would notice. A job that needs a broken one reports it.
  await Promise.allSettled([import('file-type'), import('sharp')]);
  const api = parts.use(
    await startApi({
      queue: jobs.queue,
      settings,
      worker: {
        workerId: config.RUNPOD_POD_ID ?? hostname(),
        slots: config.JOB_CONCURRENCY + config.JOB_PREFETCH,
        comfyDownSince: () => jobs.comfy.health.downSince,
        comfyAnswers: (signal) => jobs.comfy.isReachable(signal),
        undelivered: () => jobs.worker.undelivered,
      },
      log,
      version: VERSION,
      metrics,
      workflows: workflowService({
        comfy: jobs.comfy,
        simulated: flags.simulate,
        workflowsDir: config.WORKFLOWS_DIR,
      }),
    }),
  );
  shutdown.onStop(() => {
    api.stop();
    finishInTime(jobs.worker, { config, log, supervisor });
  });
  await jobs.worker.done;
  return 0;
}

const SIMULATE_REFUSED =
  '--simulate is refused where RUNPOD_WEBHOOK_GET_JOB is set: simulated pictures must never be taken for real ones';
