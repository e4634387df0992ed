import type { ComfyBackend } from '../lib/comfy/backend.ts';
import { LocalComfy } from '../lib/comfy/local/local-comfy.ts';
import { comfySettings } from '../lib/comfy/settings.ts';
import { systemClock } from '../lib/clock.ts';
import type { Config } from '../lib/config.ts';
import { Downloader, downloadSettings } from '../lib/download/downloader.ts';
import { JsonText } from '../lib/json.ts';
import type { LogOptions, Logger } from '../lib/log.ts';
import type { Arguments } from './flags.ts';
import type { JobQueue } from '../lib/queues/queue.ts';
import { startWorker, type Worker } from '../lib/worker/worker.ts';
import { openWorkerBucket } from '../lib/storage/s3/store.ts';
import { storeSettings } from '../lib/storage/stores.ts';
import { Converter, converterSettings } from './outputs/convert.ts';
import { createJobHandler, type JobLineOptions } from './handle-job.ts';
import { imageLimits } from './inputs/input-content.ts';

/** Settings and log of every mode that runs jobs. */
export interface ModeStart {
  readonly config: Config;
  readonly flags: Arguments;
  readonly log: Logger;
  /** JSON for the platform, plain lines for a terminal. */
  readonly logFormat: LogOptions['format'];
}

export interface JobsOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly queue: JobQueue;
  readonly onJobsChange?: (jobIds: readonly string[]) => void;
  /** Added to the options of the job line by callers in this process: the demo, the command line, tests. */
  readonly extra?: Pick<JobLineOptions, 'simulated' | 'onTimings'>;
}

/** A running worker. Disposing ends it at once; `worker.finish()` lets it finish its jobs. */
export interface RunningJobs extends AsyncDisposable {
  readonly worker: Worker;
  readonly comfy: ComfyBackend;
}

/** Builds the job line from the settings and starts to take jobs from `queue`. */
export function startJobs({ config, log, queue, onJobsChange, extra }: JobsOptions): RunningJobs {
  const parts = new AsyncDisposableStack();
  const comfy = parts.use(new LocalComfy(comfySettings(config), { log }));
  const workerBucket = parts.use(openWorkerBucket(config, { clock: systemClock, log }));
  const handler = createJobHandler({
    comfy,
    transfers: config.COMFY_TRANSFERS,
    maxResultBytes: config.RESULT_MAX_BYTES,
    jobTimeoutMs: config.JOB_TIMEOUT_S * 1000,
    converter: new Converter(converterSettings(config)),
    downloader: parts.use(new Downloader(downloadSettings(config))),
    imageLimits: imageLimits(config),
    cleanupMode: config.CLEANUP,
    storeSettings: storeSettings(config),
    preflight: config.PREFLIGHT === 'auto',
    ...(config.WORKFLOWS_DIR === undefined ? {} : { workflowsDir: config.WORKFLOWS_DIR }),
    ...(workerBucket ? { workerBucket } : {}),
    ...(config.COMFY_ORG_API_KEY ? { apiKey: JsonText.of(config.COMFY_ORG_API_KEY) } : {}),
    ...extra,
  });
  const worker = parts.use(
    startWorker({
      queue,
      handler,
      log,
      slots: config.JOB_CONCURRENCY + config.JOB_PREFETCH,
      progressIntervalMs: config.PROGRESS_INTERVAL_MS,
      maxResultBytes: config.RESULT_MAX_BYTES,
      ...(workerBucket ? {} : { tooLargeHint: SET_A_BUCKET }),
      posting: {
        timeoutMs: config.RESULT_DELIVERY_TIMEOUT_S * 1000,
        backlog: config.RESULT_BACKLOG,
        backlogBytes: config.RESULT_BACKLOG_BYTES,
        spoolDir: config.RESULT_SPOOL_DIR,
      },
      refreshWorker: config.REFRESH_WORKER,
      ...(onJobsChange ? { onJobsChange } : {}),
    }),
  );
  return { worker, comfy, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

const SET_A_BUCKET =
  'set BUCKET_ENDPOINT_URL, BUCKET_ACCESS_KEY_ID and BUCKET_SECRET_ACCESS_KEY to get links instead, or make smaller images';
