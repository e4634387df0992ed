import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BackendHealth, ComfyBackend } from '../lib/comfy/backend.ts';
import { isLocalUrl } from '../lib/comfy/local/readiness.ts';
import { LocalComfy } from '../lib/comfy/local/local-comfy.ts';
import { ComfySupervisor } from '../lib/comfy/local/supervisor/supervisor.ts';
import { comfySettings, supervisorSettings, type ComfySettings } from '../lib/comfy/settings.ts';
import { systemClock } from '../lib/clock.ts';
import { invalidConfig, isSecret, VARIABLES, type Config } from '../lib/config.ts';
import { Downloader, downloadSettings } from '../lib/download/downloader.ts';
import { JsonText } from '../lib/json.ts';
import { ModelCache } from '../lib/models/cache/model-cache.ts';
import { namesInManifest } from '../lib/models/manifest/read-manifest.ts';
import { fetcherSettings, ModelFetcher } from '../lib/models/fetch/model-fetcher.ts';
import type { LogOptions, Logger } from '../lib/log.ts';
import { DeadlyJobs } from './deadly-jobs.ts';
import type { Arguments } from './flags.ts';
import type { JobQueue } from '../lib/queues/queue.ts';
import { startWorker, type Gate, type Worker } from '../lib/worker/worker.ts';
import { writeModelPaths } from '../lib/volume/model-folders.ts';
import { openWorkerBucket } from '../lib/storage/s3/store.ts';
import { storeSettings } from '../lib/storage/stores.ts';
import { Converter, converterSettings } from './outputs/convert.ts';
import { createJobHandler, type JobLineOptions } from './handle-job.ts';
import { imageLimits } from './inputs/input-content.ts';
import { plannedRestarts } from './planned-restarts.ts';
import { createWarmUp } from './warm-up.ts';
import { FileLedger } from './job-folder/file-ledger.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Settings and log of every mode that runs jobs. */
export interface ModeStart {
  readonly config: Config;
  readonly environment: Environment;
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
  /** Starts ComfyUI; without one, somebody else does. */
  readonly supervisor?: ComfySupervisor | undefined;
  /**
   * While ComfyUI is down no jobs are taken, and the job in hand waits, for at most `COMFY_DOWN_TIMEOUT_S`. Otherwise jobs
   * fail at once.
   */
  readonly waitsForComfy?: boolean;
  /** Added to the options of the job line by callers in this process: the demo, the command line, tests. */
  readonly extra?: Partial<Pick<JobLineOptions, 'simulated' | 'onTimings' | 'deadlyJobs'>>;
}

/** A running worker. Disposing ends it at once; `worker.finish()` lets it finish its jobs. */
export interface RunningJobs extends AsyncDisposable {
  readonly worker: Worker;
  readonly comfy: ComfyBackend;
}

/**
 * Starts ComfyUI if `COMFY_COMMAND` is set.
 * @throws WorkerError `config.invalid`, or `worker.unfit` when its port is taken.
 */
export async function startSupervisor({
  config,
  environment,
  log,
}: Pick<ModeStart, 'config' | 'environment' | 'log'>): Promise<ComfySupervisor | undefined> {
  const settings = supervisorSettings(config);
  const wantsRestarts = config.COMFY_MAX_RSS_MB ?? config.COMFY_RESTART_AFTER_JOBS;
  if (!settings && wantsRestarts !== undefined) throw invalidConfig([RESTARTS_NEED_COMMAND]);
  if (!settings) return undefined;
  if (!isLocalUrl(config.COMFY_URL))
    throw invalidConfig(['COMFY_COMMAND starts ComfyUI here, but COMFY_URL is another machine']);
  const volumeArguments = await prepareVolume(config, log);
  return await ComfySupervisor.start({
    settings: { ...settings, command: [...settings.command, ...volumeArguments] },
    comfy: waitingSettings(config),
    environment: withoutOwnKeys(environment),
    clock: systemClock,
    log,
    warmUp: warmUpOf({ config, log }),
  });
}

/** @returns the arguments with which ComfyUI finds the models and node packs of the network volume. */
async function prepareVolume(
  { NETWORK_VOLUME_DIR: volume, NETWORK_VOLUME_DEBUG: isDebug }: Config,
  log: Logger,
): Promise<readonly string[]> {
  if (isDebug) {
    const { reportVolume } = await import('../lib/volume/report.ts');
    const { found, hints } = await reportVolume(volume);
    log.info({ volume, found, hints }, 'Network volume');
  }
  const modelPaths = await writeModelPaths(volume);
  return modelPaths === undefined ? [] : ['--extra-model-paths-config', modelPaths];
}

function waitingSettings(config: Config): ComfySettings {
  return { ...comfySettings(config), downTimeoutMs: config.COMFY_DOWN_TIMEOUT_S * 1000 };
}

/** Custom nodes must not see keys that only the worker uses. */
function withoutOwnKeys(environment: Environment): Environment {
  const isOwn = (name: string) => name in VARIABLES && isSecret(name) && !SHARED.has(name);
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !isOwn(name)));
}

/** Node packs download models with these, too. */
const SHARED: ReadonlySet<string> = new Set(['HF_TOKEN', 'CIVITAI_TOKEN']);

/**
 * Lets the worker finish its jobs. With a ComfyUI of its own it has to end within `SHUTDOWN_GRACE_S`: jobs that still run
 * after about half of that are interrupted; the rest is for posting results and for ending ComfyUI.
 */
export function finishInTime(
  worker: Worker,
  { config, log, supervisor }: Pick<JobsOptions, 'config' | 'log' | 'supervisor'>,
): void {
  worker.finish();
  if (!supervisor) return;
  const graceMs = config.SHUTDOWN_GRACE_S * 1000;
  const cancel = systemClock.after(Math.max(graceMs / 2, graceMs - ENDING_MS), () => {
    log.warn({ held: worker.jobIds.length }, INTERRUPTED);
    worker.kill();
  });
  void worker.done.then(cancel);
}

/** A handler that ignores its signal keeps its slot for 5 s; then ComfyUI is ended. */
const ENDING_MS = 10_000;
const INTERRUPTED =
  'Jobs that still run are interrupted without a result, so that the worker ends within SHUTDOWN_GRACE_S';

/** Options that the job line and the line of the warm-up share. Resources that they need are added to `parts`. */
function lineOptions({
  config,
  log,
  comfy,
  parts,
}: Pick<JobsOptions, 'config' | 'log'> & {
  readonly comfy: ComfyBackend;
  readonly parts: AsyncDisposableStack;
}): JobLineOptions {
  return {
    comfy,
    transfers: config.COMFY_TRANSFERS,
    maxResultBytes: config.RESULT_MAX_BYTES,
    jobTimeoutMs: config.JOB_TIMEOUT_S * 1000,
    converter: new Converter(converterSettings(config)),
    downloader: parts.use(new Downloader(downloadSettings(config))),
    imageLimits: imageLimits(config),
    modelCache: config.DYNAMIC_MODELS
      ? new ModelCache(parts.use(new ModelFetcher(fetcherSettings(config, 'caller'))), {
          maxBytes: config.MODEL_CACHE_MAX_GB * 1e9,
          pinned: () => namesInManifest(config.MANIFEST_FILE),
        })
      : undefined,
    manifestFile: config.MANIFEST_FILE,
    cleanupMode: config.CLEANUP,
    ledger: parts.use(new FileLedger({ folder: join(tmpdir(), 'comfyui-worker-files'), log })),
    storeSettings: storeSettings(config),
    preflight: config.PREFLIGHT === 'auto',
    deadlyJobs: new DeadlyJobs(config, { log }),
    ...(config.WORKFLOWS_DIR === undefined ? {} : { workflowsDir: config.WORKFLOWS_DIR }),
    ...(config.COMFY_ORG_API_KEY ? { apiKey: JsonText.of(config.COMFY_ORG_API_KEY) } : {}),
  };
}

function warmUpOf({
  config,
  log,
  extra,
}: Pick<JobsOptions, 'config' | 'log'> & {
  readonly extra?: JobsOptions['extra'] | undefined;
}) {
  const openLine = () => {
    const parts = new AsyncDisposableStack();
    const comfy = parts.use(new LocalComfy(comfySettings(config), { log }));
    const options = lineOptions({ config, log, comfy, parts });
    const handler = createJobHandler({ ...options, simulated: extra?.simulated ?? false });
    return { handler, [Symbol.asyncDispose]: () => parts.disposeAsync() };
  };
  return createWarmUp({ config, log, openLine });
}

/** Builds the job line from the settings and starts to take jobs from `queue`. */
export function startJobs(options: JobsOptions): RunningJobs {
  const { config, log, queue, onJobsChange, supervisor, waitsForComfy = false, extra } = options;
  const parts = new AsyncDisposableStack();
  const settings = waitsForComfy ? waitingSettings(config) : comfySettings(config);
  const warmUp = waitsForComfy && !supervisor ? warmUpOf({ config, log, extra }) : undefined;
  const comfy = parts.use(new LocalComfy(settings, { log, supervisor, warmUp }));
  const workerBucket = parts.use(openWorkerBucket(config, { clock: systemClock, log }));
  const handler = createJobHandler({
    ...lineOptions({ config, log, comfy, parts }),
    ...(workerBucket ? { workerBucket } : {}),
    ...extra,
  });
  const restarts = plannedRestarts(config, supervisor);
  const worker = parts.use(
    startWorker({
      queue,
      handler: restarts?.around(handler) ?? handler,
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
      ...(waitsForComfy && { gate: restarts ?? gateOf(comfy.health) }),
      refresh: config.REFRESH_WORKER,
      ...(onJobsChange ? { onJobsChange } : {}),
    }),
  );
  return { worker, comfy, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

function gateOf(health: BackendHealth): Gate {
  return {
    isOpen: () => health.status === 'up',
    endsPoll: () => health.status === 'down',
    onChange: (listener) => health.onChange(listener),
  };
}

const RESTARTS_NEED_COMMAND =
  'COMFY_MAX_RSS_MB and COMFY_RESTART_AFTER_JOBS need COMFY_COMMAND: only a ComfyUI that the worker has started can be restarted';
const SET_A_BUCKET =
  'set BUCKET_ENDPOINT_URL, BUCKET_ACCESS_KEY_ID and BUCKET_SECRET_ACCESS_KEY to get links instead, or make smaller images';
