import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../lib/http/test-free-port.ts';
import {
  startRunpodSimulator,
  type RunpodSimulator,
} from '../../lib/simulator/stand-ins/runpod.ts';
import { startS3Simulator, type S3Simulator } from '../../lib/simulator/stand-ins/s3.ts';
import { BreakingProxy } from './breaking-proxy.ts';
import { BUCKET, ChaosJobs } from './chaos-jobs.ts';
import { ComfyControl } from './comfy-control.ts';
import { SmallDisk } from './small-disk.ts';
import { WorkerLives } from './worker-lives.ts';

/**
 * The processes of a run and what is between them:
 *
 * ```
 *   this process                                    children
 *   platform ◄── proxy ◄───────────────────────── worker
 *   S3       ◄── proxy ◄──────────────────────────┘  │ COMFY_COMMAND
 *   control  ◄── orders, process id ──────────── proxy and embedded ComfyUI ──► journal
 * ```
 */
export interface World extends AsyncDisposable {
  readonly platform: RunpodSimulator;
  readonly platformProxy: BreakingProxy;
  readonly s3: S3Simulator;
  readonly s3Proxy: BreakingProxy;
  readonly comfy: ComfyControl;
  readonly disk: SmallDisk | undefined;
  readonly worker: WorkerLives;
  readonly jobs: ChaosJobs;
  /** Written by ComfyUI. */
  readonly journal: string;
  readonly logFile: string;
  /** Folders that must hold no file in the end. */
  readonly folders: readonly string[];
  /** Whether something listens on ComfyUI's port. */
  isListening(): Promise<boolean>;
  /** `listener` is called when a process of the worker has ended, before the next one starts. */
  whenWorkerEnds(listener: () => void): void;
}

export async function startWorld({
  seed,
  heapMb,
  say,
}: {
  readonly seed: number;
  readonly heapMb: number | undefined;
  readonly say: (line: string) => void;
}): Promise<World> {
  const parts = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'comfyui-worker-chaos-'));
  parts.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const platform = parts.use(
    await startRunpodSimulator({ takeHoldMs: 5000, pingIntervalMs: 1000, waitMs: DAY_MS }),
  );
  const platformProxy = parts.use(await BreakingProxy.start({ target: portOf(platform.url) }));
  const s3 = parts.use(await startS3Simulator({ buckets: [BUCKET], forgetful: true }));
  const s3Proxy = parts.use(await BreakingProxy.start({ target: s3.port }));
  const comfy = parts.use(await ComfyControl.start());
  const diskFolder = join(folder, 'disk');
  const mounted = await SmallDisk.mount(diskFolder);
  if ('reason' in mounted)
    say(`SKIPPED  the fault "disk full": no small disk can be mounted (${mounted.reason})`);
  else parts.use(mounted);
  const disk = 'reason' in mounted ? undefined : mounted;

  const port = await freePort();
  const places = {
    comfy: join(folder, 'comfy'),
    journal: join(folder, 'journal'),
    spool: join(diskFolder, 'spool'),
    scratch: join(diskFolder, 'scratch'),
    cache: join(folder, 'compile-cache'),
  };
  for (const path of [places.comfy, places.scratch]) await mkdir(path, { recursive: true });
  const ending = { listener: (): void => undefined };
  const logFile = join(folder, 'worker.log');
  const worker = parts.use(
    new WorkerLives({
      ...{ folder, logFile, heapMb },
      onEnd: () => ending.listener(),
      environment: {
        PATH: process.env.PATH ?? '',
        NODE_COMPILE_CACHE: places.cache,
        TMPDIR: places.scratch,
        ...throughProxy(platform, platformProxy.port),
        ...WORKER_SETTINGS,
        RESULT_SPOOL_DIR: places.spool,
        UPLOAD_ALLOW_PRIVATE: `127.0.0.1:${s3Proxy.port}`,
        COMFY_URL: `http://127.0.0.1:${port}`,
        COMFY_PID_FILE: join(folder, 'comfy.pid'),
        COMFY_COMMAND: `'${process.execPath}' --disable-warning=ExperimentalWarning '${COMFY_CHILD}'`,
        COMFY_ARGS: `--port ${port} --folder '${places.comfy}' --control ${comfy.port} --journal '${places.journal}'`,
      },
    }),
  );
  return {
    ...{ platform, platformProxy, s3, s3Proxy, comfy, disk, worker, logFile },
    journal: places.journal,
    folders: [places.comfy, places.spool, places.scratch],
    jobs: new ChaosJobs(seed, {
      url: `http://127.0.0.1:${s3Proxy.port}`,
      accessKeyId: s3.accessKeyId,
      secretAccessKey: s3.secretAccessKey,
    }),
    isListening: () => accepts(port),
    whenWorkerEnds: (listener) => void (ending.listener = listener),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

/** Silence is noticed after seconds rather than minutes, so that thousands of jobs meet it. All else is as shipped. */
const WORKER_SETTINGS = {
  JOB_PREFETCH: '1',
  COMFY_UNRESPONSIVE_S: '5',
  COMFY_MAX_RESTARTS: '1000000',
  COMFY_REQUEST_TIMEOUT_S: '5',
  COMFY_POLL_INTERVAL_S: '1',
  COMFY_PING_INTERVAL_S: '2',
  WEBSOCKET_RECONNECT_DELAY_S: '1',
  SHUTDOWN_GRACE_S: '10',
  COMFY_LOG_LEVEL: 'debug',
  CLEANUP: 'always',
};

const COMFY_CHILD = fileURLToPath(new URL('./comfy-child.ts', import.meta.url));
const DAY_MS = 86_400_000;

function throughProxy({ env, url }: RunpodSimulator, port: number): Record<string, string> {
  const entries = Object.entries(env).map(([name, value]): [string, string] => [
    name,
    value.replace(url, `http://127.0.0.1:${port}`),
  ]);
  return Object.fromEntries(entries);
}

const portOf = (url: string) => Number(new URL(url).port);

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
