import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { apiSettings } from '../../../lib/api/server/settings.ts';
import { startApi } from '../../../lib/api/server/start-api.ts';
import { readConfig } from '../../../lib/config.ts';
import { createLog } from '../../../lib/log.ts';
import { LocalQueue } from '../../../lib/queues/local/local-queue.ts';
import { SIMULATED_MODELS } from '../../../lib/simulator/comfy/nodes/registry.ts';
import { NODES } from '../../../lib/simulator/comfy/nodes/registry.ts';
import { PROBE_NODES } from '../../../lib/simulator/comfy/testing/probe-nodes.ts';
import {
  startComfySimulator,
  type ComfySimulator,
  type SimulatorOptions,
} from '../../../lib/simulator/comfy/simulator.ts';
import { VERSION } from '../../../lib/version.ts';
import { startJobs } from '../../start-jobs.ts';
import { workflowService } from '../../modes/workflow-service.ts';

/** The local API, the job line and an embedded ComfyUI, on real sockets in one process. */
export interface ApiRig extends AsyncDisposable {
  /** URL of the API, without a slash at its end. */
  readonly url: string;
  readonly comfy: ComfySimulator;
}

export interface ApiRigOptions {
  readonly comfy?: SimulatorOptions;
  /** Settings, added to those that connect the parts. */
  readonly environment?: Readonly<Record<string, string>>;
}

export async function startApiRig(options: ApiRigOptions = {}): Promise<ApiRig> {
  const parts = new AsyncDisposableStack();
  const comfy = parts.use(await startComfySimulator({ ...EVERYTHING, ...options.comfy }));
  const spoolDir = await mkdtemp(join(tmpdir(), 'api-rig-'));
  parts.defer(() => rm(spoolDir, { recursive: true, force: true }));
  const config = readConfig({
    COMFY_URL: comfy.url,
    COMFY_PID_FILE: join(spoolDir, 'no.pid'),
    RESULT_SPOOL_DIR: spoolDir,
    PROGRESS_INTERVAL_MS: '40',
    API_PORT: '0',
    CLEANUP: 'never', // tests read the files ComfyUI has made
    ...options.environment,
  });
  const log = await createLog({ level: 'error', format: 'json' });
  const queue = new LocalQueue();
  const jobs = parts.use(startJobs({ config, log, queue }));
  const worker = {
    workerId: 'rig',
    slots: config.JOB_CONCURRENCY,
    comfyAnswers: async (signal: AbortSignal) =>
      (await fetch(`${comfy.url}/system_stats`, { signal })).ok,
    undelivered: () => 0,
  };
  const settings = apiSettings(config);
  const workflows = workflowService({ comfy: jobs.comfy, workflowsDir: config.WORKFLOWS_DIR });
  const api = parts.use(
    await startApi({ queue, settings, worker, log, version: VERSION, workflows }),
  );
  return { url: api.url, comfy, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

/** All nodes and models, and no simulated delays. */
const EVERYTHING: SimulatorOptions = {
  nodes: new Map([...NODES, ...PROBE_NODES]),
  models: SIMULATED_MODELS,
  speed: Infinity,
};
