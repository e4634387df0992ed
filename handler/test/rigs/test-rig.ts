import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../../../lib/config.ts';
import { createLog } from '../../../lib/log.ts';
import { createRunpodQueue } from '../../../lib/queues/runpod/runpod-queue.ts';
import { PROBE_NODES } from '../../../lib/simulator/comfy/testing/probe-nodes.ts';
import {
  startComfySimulator,
  type ComfySimulator,
  type SimulatorOptions,
} from '../../../lib/simulator/comfy/simulator.ts';
import {
  startRunpodSimulator,
  type RunpodSimulator,
  type RunpodSimulatorOptions,
} from '../../../lib/simulator/stand-ins/runpod.ts';
import { startJobs, type RunningJobs } from '../../start-jobs.ts';

/** Platform and worker on real sockets in one process, for tests of the whole line. */
export interface WorkerRig extends AsyncDisposable {
  readonly platform: RunpodSimulator;
  readonly jobs: RunningJobs;
  readonly lines: readonly LogLine[];
  /** Runs a job and returns the posted result, parsed. */
  run(input: unknown, extras?: Readonly<Record<string, unknown>>): Promise<Posted>;
  /** The result of a job submitted before. */
  posted(jobId: string): Promise<Posted>;
}

/** With an embedded ComfyUI of its own. */
export interface Rig extends WorkerRig {
  readonly comfy: ComfySimulator;
}

export interface Posted {
  readonly output?: {
    readonly images?: readonly { filename: string; type: string; data: string }[];
    readonly errors?: readonly string[];
    readonly details?: readonly string[];
    readonly status?: string;
    readonly failure?: { readonly code: string };
  };
  readonly error?: string;
  readonly stopPod?: boolean;
}

interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly requestId: string | null;
}

interface WorkerOptions {
  /** Settings of the worker, added to those of the platform. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly platform?: RunpodSimulatorOptions;
  /** Jobs wait for a ComfyUI that is down, as on a platform's queue. Otherwise they fail at once. */
  readonly waitsForComfy?: boolean;
}

export interface RigOptions extends WorkerOptions {
  readonly comfy?: SimulatorOptions;
  /** Use this ComfyUI instead of the embedded one. */
  readonly comfyUrl?: string;
}

export async function startRig({ comfyUrl, ...options }: RigOptions = {}): Promise<Rig> {
  await using parts = new AsyncDisposableStack();
  const comfy = parts.use(
    await startComfySimulator({ nodes: PROBE_NODES, speed: Infinity, ...options.comfy }),
  );
  const rig = parts.use(await startWorkerRig(comfyUrl ?? comfy.url, options));
  const kept = parts.move();
  return { ...rig, comfy, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** A worker in front of a ComfyUI that runs already. */
export async function startWorkerRig(
  comfyUrl: string,
  options: WorkerOptions = {},
): Promise<WorkerRig> {
  const parts = new AsyncDisposableStack();
  const platform = parts.use(await startRunpodSimulator({ takeHoldMs: 5000, ...options.platform }));
  const spoolDir = await mkdtemp(join(tmpdir(), 'rig-'));
  parts.defer(() => rm(spoolDir, { recursive: true, force: true }));
  const config = readConfig({
    ...platform.env,
    COMFY_URL: comfyUrl,
    COMFY_PID_FILE: join(spoolDir, 'no.pid'),
    RESULT_SPOOL_DIR: spoolDir,
    WEBSOCKET_RECONNECT_DELAY_S: '0',
    COMFY_POLL_INTERVAL_S: '1',
    CLEANUP: 'never',
    ...options.environment,
  });
  const lines: LogLine[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line) as LogLine);
  const log = await createLog({ level: 'debug', format: 'json', destination: { write } });
  const queue = parts.use(
    createRunpodQueue({
      getJobUrl: config.RUNPOD_WEBHOOK_GET_JOB ?? '',
      postOutputUrl: config.RUNPOD_WEBHOOK_POST_OUTPUT ?? '',
      podId: config.RUNPOD_POD_ID ?? '',
      apiKey: config.RUNPOD_AI_API_KEY,
      log,
    }),
  );
  const jobs = parts.use(
    startJobs({ config, log, queue, waitsForComfy: options.waitsForComfy ?? false }),
  );

  const posted = async (jobId: string) =>
    JSON.parse((await platform.result(jobId)).bodyText) as Posted;
  return {
    platform,
    jobs,
    lines,
    posted,
    run: (input, extras) => posted(platform.submit(input, extras)),
    [Symbol.asyncDispose]: async () => {
      await parts.disposeAsync();
      const errors = lines.filter(({ level }) => level === 'ERROR');
      if (errors.length > 0) throw new Error(`Errors were logged: ${JSON.stringify(errors)}`);
      if (platform.violations.length > 0)
        throw new Error(
          `The worker broke rules of the platform: ${JSON.stringify(platform.violations)}`,
        );
    },
  };
}

/** A workflow that saves `count` images of one colour. */
export function pictures({ color = 0x336699, count = 1, size = 32, prefix = 'T' } = {}) {
  return {
    '1': {
      class_type: 'EmptyImage',
      inputs: { width: size, height: size, batch_size: count, color },
    },
    '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: prefix } },
  };
}

/** A workflow that samples for `steps` × `stepMs` and saves one image. */
export function sampling({ steps = 4, stepMs = 0, seed = 1, prefix = 'S' } = {}) {
  return {
    '1': {
      class_type: 'EmptyImage',
      inputs: { width: 32, height: 32, batch_size: 1, color: seed },
    },
    '2': {
      class_type: 'ProbeSampler',
      inputs: { image: ['1', 0], steps, step_ms: stepMs, seed },
      _meta: { title: 'The slow one' },
    },
    '3': { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: prefix } },
  };
}

/** A workflow that loads an input image and saves it. */
export function loading(name: string, prefix = 'L') {
  return {
    '1': { class_type: 'LoadImage', inputs: { image: name } },
    '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: prefix } },
  };
}
