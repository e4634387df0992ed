import { randomUUID } from 'node:crypto';
import { expectProcess } from '../lib/comfy/local/readiness.ts';
import { comfySettings } from '../lib/comfy/local/settings.ts';
import { invalidConfig } from '../lib/config.ts';
import { ensureFit, type FitnessCheck } from '../lib/worker/fitness.ts';
import { startHeartbeat } from '../lib/queues/runpod/heartbeat.ts';
import { reportUnhealthy, type PingSettings } from '../lib/queues/runpod/ping.ts';
import { createRunpodQueue } from '../lib/queues/runpod/runpod-queue.ts';
import { listenForShutdown } from '../lib/worker/shutdown.ts';
import { VERSION } from '../lib/version.ts';
import { logFormat, type Mode } from './mode.ts';
import { startJobs } from './start-jobs.ts';

/** Takes jobs from the platform until told to stop. @returns the exit code. */
export async function runWorker(mode: Mode): Promise<number> {
  const { config, log } = mode;
  await using parts = new AsyncDisposableStack();
  using shutdown = listenForShutdown({ log });
  await ensureFit([comfyLives(mode)], {
    report: (failure) => reportUnhealthy(pingTarget(config), failure),
    log,
  });
  const queue = parts.use(openQueue(mode));
  const heartbeat = parts.use(openHeartbeat(mode));
  const { worker } = parts.use(
    startJobs({ config, log, queue, onJobsChange: (jobIds) => heartbeat.setJobs(jobIds) }),
  );
  shutdown.whenTold(() => worker.stop());
  await worker.done;
  return 0;
}

/** A ComfyUI that has died at its start will not come back, and another worker may have more luck. */
function comfyLives({ config, log }: Mode): FitnessCheck {
  return { name: 'comfyui', check: () => expectProcess({ settings: comfySettings(config), log }) };
}

function openQueue({ config, log }: Mode) {
  const { RUNPOD_WEBHOOK_GET_JOB: getJobUrl, RUNPOD_WEBHOOK_POST_OUTPUT: postOutputUrl } = config;
  if (getJobUrl === undefined || postOutputUrl === undefined) {
    throw invalidConfig([
      'RUNPOD_WEBHOOK_GET_JOB and RUNPOD_WEBHOOK_POST_OUTPUT belong together: jobs come from the one, results go to the other',
    ]);
  }
  return createRunpodQueue({
    getJobUrl,
    postOutputUrl,
    podId: config.RUNPOD_POD_ID ?? randomUUID(),
    hostname: config.RUNPOD_POD_HOSTNAME,
    apiKey: config.RUNPOD_AI_API_KEY,
    gpuTypeId: config.RUNPOD_GPU_TYPE_ID,
    integration: config.RUNPOD_UA_INTEGRATION,
    log,
  });
}

function openHeartbeat({ config, log }: Mode) {
  return startHeartbeat({
    ...pingTarget(config),
    intervalMs: config.RUNPOD_PING_INTERVAL,
    stuckMs: config.HEARTBEAT_STUCK_S * 1000,
    log,
    logFormat: logFormat(config),
  });
}

function pingTarget(config: Mode['config']): PingSettings {
  return {
    url: config.RUNPOD_WEBHOOK_PING,
    apiKey: config.RUNPOD_AI_API_KEY,
    podId: config.RUNPOD_POD_ID,
    gpuTypeId: config.RUNPOD_GPU_TYPE_ID,
    version: VERSION,
  };
}
