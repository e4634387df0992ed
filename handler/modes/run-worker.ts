import { randomUUID } from 'node:crypto';
import { expectProcess } from '../../lib/comfy/local/readiness.ts';
import type { ComfySupervisor } from '../../lib/comfy/local/supervisor/supervisor.ts';
import { comfySettings } from '../../lib/comfy/settings.ts';
import { invalidConfig } from '../../lib/config.ts';
import { ensureFit } from '../../lib/worker/fitness.ts';
import { startHeartbeat } from '../../lib/queues/runpod/heartbeat.ts';
import { reportUnhealthy, type PingSettings } from '../../lib/queues/runpod/ping.ts';
import { createRunpodQueue } from '../../lib/queues/runpod/runpod-queue.ts';
import { listenForShutdown } from '../../lib/worker/shutdown.ts';
import { VERSION } from '../../lib/version.ts';
import { BEFORE_START_MS, runBesideComfy, runBeforeStart } from './around-start.ts';
import { startJobs, startSupervisor, finishInTime, type ModeStart } from '../start-jobs.ts';

/** Takes jobs from the platform until told to stop. @returns the exit code. */
export async function runWorker(start: ModeStart): Promise<number> {
  const { config, log, logFormat } = start;
  await using parts = new AsyncDisposableStack();
  using shutdown = listenForShutdown({ log });
  const ping: PingSettings = {
    url: config.RUNPOD_WEBHOOK_PING,
    apiKey: config.RUNPOD_AI_API_KEY,
    podId: config.RUNPOD_POD_ID,
    gpuTypeId: config.RUNPOD_GPU_TYPE_ID,
    version: VERSION,
  };
  // A ComfyUI that died while it started will not come back; the platform should start another worker.
  let supervisor: ComfySupervisor | undefined;
  const checkComfy = async () => {
    supervisor = parts.use(await startSupervisor(start));
    if (!supervisor) await expectProcess({ settings: comfySettings(config), log });
  };
  const prepare = () => runBeforeStart(start, shutdown.signal);
  const checks = [
    { name: 'before-start', check: prepare, timeoutMs: BEFORE_START_MS },
    { name: 'comfyui', check: checkComfy },
  ];
  await ensureFit(checks, { report: (failure) => reportUnhealthy(ping, failure), log });
  parts.use(runBesideComfy(start, supervisor));
  const queue = parts.use(openQueue(start));
  const heartbeat = parts.use(
    startHeartbeat({
      ...ping,
      intervalMs: config.RUNPOD_PING_INTERVAL,
      stuckMs: config.HEARTBEAT_STUCK_S * 1000,
      log,
      logFormat,
    }),
  );
  const { worker, comfy } = parts.use(
    startJobs({
      ...{ config, log, queue, supervisor },
      onJobsChange: (jobIds) => heartbeat.setJobs(jobIds),
      waitsForComfy: true,
    }),
  );
  shutdown.onStop(() => finishInTime(worker, { config, log, supervisor }));
  const ended = new AbortController();
  const watching = comfy.health.untilGivenUp(ended.signal).then(async (isGivenUp) => {
    if (!isGivenUp) return 0;
    const reason = 'ComfyUI is down for longer than COMFY_DOWN_TIMEOUT_S';
    const running = worker.jobIds.length - worker.undelivered;
    log.warn({ running }, 'ComfyUI does not come back; the worker ends');
    // With a job in hand, its result asks for a fresh worker.
    if (running === 0) await reportUnhealthy(ping, { check: 'comfyui', reason });
    worker.finish();
    return 1;
  });
  await worker.done;
  ended.abort();
  return await watching;
}

function openQueue({ config, log }: ModeStart) {
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
