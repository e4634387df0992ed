import { randomUUID } from 'node:crypto';
import { Comfy } from '../lib/comfy/comfy.ts';
import { comfySettings } from '../lib/comfy/settings.ts';
import { systemClock } from '../lib/clock.ts';
import { invalidConfig, readConfig, type Config } from '../lib/config.ts';
import { Downloader } from '../lib/download/downloader.ts';
import { downloadSettings } from '../lib/download/settings.ts';
import { isWorkerError } from '../lib/errors.ts';
import { JsonText } from '../lib/json.ts';
import { createLog, type Logger } from '../lib/log.ts';
import { parseArguments, type Arguments } from '../lib/runpod/arguments.ts';
import { startHeartbeat } from '../lib/runpod/heartbeat.ts';
import { readLocalJob } from '../lib/runpod/local-job.ts';
import { LocalQueue } from '../lib/runpod/local-queue.ts';
import type { JobQueue } from '../lib/runpod/queue.ts';
import { createRemoteQueue } from '../lib/runpod/remote-queue.ts';
import { listenForShutdown } from '../lib/runpod/shutdown.ts';
import { startWorker, type DeliverySettings, type Worker } from '../lib/runpod/worker.ts';
import { openStorage } from '../lib/storage/open-storage.ts';
import { VERSION } from '../lib/version.ts';
import { Converter, converterSettings } from './convert.ts';
import { imageLimits } from './input-settings.ts';
import { createJobHandler, type JobParts } from './handle-job.ts';

export interface MainOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly args: readonly string[];
}

/** The whole program. @returns the exit code. */
export async function main({ environment, args }: MainOptions): Promise<number> {
  try {
    const flags = parseArguments(args);
    const config = readConfig(environment);
    const log = await createLog({
      level: flags.logLevel ?? levelOf(config),
      format: formatOf(config),
    });
    log.info(`--- Starting Serverless Worker |  Version ${VERSION} ---`);
    return config.RUNPOD_WEBHOOK_GET_JOB === undefined || flags.testInput !== undefined
      ? await runOneJob({ config, flags, log })
      : await runWorker({ config, log, getJobUrl: config.RUNPOD_WEBHOOK_GET_JOB });
  } catch (error) {
    if (!isWorkerError(error)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  }
}

interface Setting {
  readonly config: Config;
  readonly log: Logger;
}

/** Takes jobs from the platform until told to stop. */
async function runWorker({
  config,
  log,
  getJobUrl,
}: Setting & { getJobUrl: string }): Promise<number> {
  await using parts = new AsyncDisposableStack();
  using shutdown = listenForShutdown({ log });
  const podId = config.RUNPOD_POD_ID ?? randomUUID();
  const queue = parts.use(openRemoteQueue({ config, log, podId, getJobUrl }));
  const heartbeat = parts.use(openHeartbeat({ config, log }));
  const { worker } = parts.use(
    startJobs({ config, log, queue, onJobsChange: (jobIds) => heartbeat.setJobs(jobIds) }),
  );
  shutdown.signal.addEventListener('abort', () => worker.stop());
  await worker.done;
  return 0;
}

/** Runs the job of `--test_input` or `test_input.json`. */
async function runOneJob({ config, flags, log }: Setting & { flags: Arguments }): Promise<number> {
  await using parts = new AsyncDisposableStack();
  using shutdown = listenForShutdown({ log });
  const job = await readLocalJob(flags);
  const queue = new LocalQueue();
  const { worker } = parts.use(startJobs({ config, log, queue }));
  shutdown.signal.addEventListener('abort', () => worker.kill());
  const result = await queue.submit(job, { signal: shutdown.signal });
  log.info({ result: result.text }, 'Result');
  return result.error === undefined ? 0 : 1;
}

export interface JobsOptions extends Setting {
  readonly queue: JobQueue;
  readonly onJobsChange?: (jobIds: readonly string[]) => void;
  /** What a caller inside this process (the demo, a test) adds to the parts of a job. */
  readonly extra?: Pick<JobParts, 'simulated' | 'onTimings'>;
}

/** A worker with everything its jobs need. Disposed, it ends at once; `worker.stop()` lets it finish. */
export interface Jobs extends AsyncDisposable {
  readonly worker: Worker;
}

/** Builds the line of a job and starts to take jobs from `queue`. */
export function startJobs({ config, log, queue, onJobsChange, extra }: JobsOptions): Jobs {
  const parts = new AsyncDisposableStack();
  const comfy = parts.use(new Comfy(comfySettings(config), { log }));
  const storage = parts.use(openStorage(config, { clock: systemClock, log }));
  const handler = createJobHandler({
    comfy,
    transfers: config.COMFY_TRANSFERS,
    maxResultBytes: config.RESULT_MAX_BYTES,
    jobTimeoutMs: config.JOB_TIMEOUT_S * 1000,
    converter: new Converter(converterSettings(config)),
    downloader: parts.use(new Downloader(downloadSettings(config))),
    imageLimits: imageLimits(config),
    ...(storage ? { storage } : {}),
    ...(config.COMFY_ORG_API_KEY ? { apiKey: JsonText.of(config.COMFY_ORG_API_KEY) } : {}),
    ...extra,
  });
  const worker = parts.use(
    startWorker({
      queue,
      handler,
      log,
      concurrency: config.JOB_CONCURRENCY + config.JOB_PREFETCH,
      progressIntervalMs: config.PROGRESS_INTERVAL_MS,
      maxResultBytes: config.RESULT_MAX_BYTES,
      ...(storage ? {} : { tooLargeHint: SET_A_BUCKET }),
      delivery: deliveryOf(config),
      reporter: { hostname: config.RUNPOD_POD_HOSTNAME, podId: config.RUNPOD_POD_ID ?? 'unknown' },
      refreshWorker: config.REFRESH_WORKER,
      ...(onJobsChange ? { onJobsChange } : {}),
    }),
  );
  return { worker, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

const SET_A_BUCKET =
  'set BUCKET_ENDPOINT_URL, BUCKET_ACCESS_KEY_ID and BUCKET_SECRET_ACCESS_KEY to get links instead, or make smaller images';

function deliveryOf(config: Config): DeliverySettings {
  return {
    timeoutMs: config.RESULT_DELIVERY_TIMEOUT_S * 1000,
    backlog: config.RESULT_BACKLOG,
    backlogBytes: config.RESULT_BACKLOG_BYTES,
    spoolDir: config.RESULT_SPOOL_DIR,
  };
}

function openRemoteQueue({
  config,
  log,
  podId,
  getJobUrl,
}: Setting & { podId: string; getJobUrl: string }) {
  if (config.RUNPOD_WEBHOOK_POST_OUTPUT === undefined) {
    throw invalidConfig([
      'RUNPOD_WEBHOOK_POST_OUTPUT is required with RUNPOD_WEBHOOK_GET_JOB: results go there',
    ]);
  }
  return createRemoteQueue({
    getJobUrl,
    postOutputUrl: config.RUNPOD_WEBHOOK_POST_OUTPUT,
    postStreamUrl: config.RUNPOD_WEBHOOK_POST_STREAM ?? config.RUNPOD_WEBHOOK_JOB_STREAM,
    podId,
    apiKey: config.RUNPOD_AI_API_KEY,
    gpuTypeId: config.RUNPOD_GPU_TYPE_ID,
    integration: config.RUNPOD_UA_INTEGRATION,
    log,
  });
}

function openHeartbeat({ config, log }: Setting) {
  return startHeartbeat({
    url: config.RUNPOD_WEBHOOK_PING,
    apiKey: config.RUNPOD_AI_API_KEY,
    podId: config.RUNPOD_POD_ID,
    gpuTypeId: config.RUNPOD_GPU_TYPE_ID,
    version: VERSION,
    intervalMs: config.RUNPOD_PING_INTERVAL,
    stuckMs: config.HEARTBEAT_STUCK_S * 1000,
    log,
    logFormat: formatOf(config),
  });
}

const levelOf = (config: Config) => config.RUNPOD_LOG_LEVEL ?? config.RUNPOD_DEBUG_LEVEL;

/** The platform reads JSON; people at a terminal do not. */
const formatOf = (config: Config) => (config.RUNPOD_ENDPOINT_ID === undefined ? 'pretty' : 'json');
