import { setTimeout as sleep } from 'node:timers/promises';
import type { RunpodSimulator } from '../../lib/simulator/stand-ins/runpod.ts';
import type { S3Simulator } from '../../lib/simulator/stand-ins/s3.ts';
import type { BreakingProxy } from './breaking-proxy.ts';
import type { ComfyControl } from './comfy-control.ts';
import type { SmallDisk } from './small-disk.ts';
import type { WorkerLives } from './worker-lives.ts';

/** Everything that faults act on. */
interface FaultTargets {
  readonly worker: WorkerLives;
  readonly comfy: ComfyControl;
  readonly platform: RunpodSimulator;
  /** Between the worker and the platform. */
  readonly platformProxy: BreakingProxy;
  readonly s3: S3Simulator;
  readonly s3Proxy: BreakingProxy;
  /** Undefined where none can be made. */
  readonly disk: SmallDisk | undefined;
  /** Cancels a job that a worker has, or that waits; false when there is none. */
  readonly cancelJob: (status: 'IN_PROGRESS' | 'IN_QUEUE') => boolean;
}

interface Fault {
  /** The process of the worker ends. */
  readonly endsWorker?: true;
  /** `roll` is a random number from 0 to 1. False when it could not happen now, for example because ComfyUI is down already. */
  inject(targets: FaultTargets, roll: number): boolean | Promise<boolean>;
}

/** A row is a kind of fault. The keys are the names in the table that a run prints. */
const TABLE = {
  'worker: kill -9': {
    endsWorker: true,
    inject: ({ worker }) => worker.signal('SIGKILL'),
  },
  'worker: SIGTERM': {
    endsWorker: true,
    inject: ({ worker }) => worker.signal('SIGTERM'),
  },
  'worker: clock set 1 h or 25 h forward, or 1 h back': {
    inject: ({ worker }, roll) => worker.shiftClock(pick([1, 25, -1], roll) * HOUR_MS),
  },
  'worker: disk full': {
    inject: async ({ disk, platform }, roll) => {
      if (!disk) return false;
      // Results go to disk only when they cannot be posted at once.
      platform.faults.next('job-done', { status: 503 }, 10);
      await disk.fill();
      await sleep(between(1000, 4000, roll));
      await disk.clear();
      return true;
    },
  },
  'ComfyUI: kill -9': {
    inject: ({ comfy }) => comfy.signal('SIGKILL'),
  },
  'ComfyUI: SIGSTOP, SIGCONT after 0.3 to 3 s': {
    inject: async ({ comfy }, roll) => {
      const { pid } = comfy;
      if (!comfy.signal('SIGSTOP')) return false;
      await sleep(between(300, 3000, roll));
      comfy.signal('SIGCONT', pid);
      return true;
    },
  },
  'ComfyUI: SIGSTOP for good': {
    inject: ({ comfy }) => comfy.signal('SIGSTOP'),
  },
  'ComfyUI: executor dies': {
    inject: ({ comfy }) => comfy.order({ do: 'endExecutor' }),
  },
  'ComfyUI: connections dropped': {
    inject: ({ comfy }) => comfy.order({ do: 'drop' }),
  },
  'ComfyUI: connections half-open': {
    inject: ({ comfy }) => comfy.order({ do: 'halfOpen', ms: 30_000 }),
  },
  'ComfyUI: 5xx': {
    inject: ({ comfy }, roll) =>
      comfy.order({
        do: 'fail',
        request: pick(REQUESTS, roll),
        how: pick(['refuse', 'break'], (roll * 7) % 1),
        status: pick([500, 502, 503], (roll * 13) % 1),
        times: pick([1, 2, 3], (roll * 17) % 1),
      }),
  },
  'ComfyUI: answers lost': {
    inject: ({ comfy }, roll) =>
      comfy.order({ do: 'fail', request: pick(REQUESTS, roll), how: 'lose', times: 2 }),
  },
  'ComfyUI: answer without end': {
    inject: ({ comfy }, roll) =>
      comfy.order({ do: 'endless', request: pick(READS, roll), times: 1 }),
  },
  'ComfyUI: history late': {
    inject: ({ comfy }, roll) => comfy.order({ do: 'lateHistory', ms: between(200, 2500, roll) }),
  },
  'platform: 5xx and 429': {
    inject: ({ platform }, roll) => {
      const status = pick([500, 502, 503, 429], roll);
      platform.faults.next('job-done', { status }, 3);
      platform.faults.next('job-take', { status }, 1);
      return true;
    },
  },
  'platform: resets and lost answers': {
    inject: ({ platform }, roll) => {
      platform.faults.next('job-done', pick(['reset', 'lose-answer'] as const, roll), 2);
      platform.faults.next('job-take', pick(['reset', 'lose-answer'] as const, 1 - roll), 1);
      return true;
    },
  },
  'platform: connections dropped': {
    inject: ({ platformProxy }) => {
      platformProxy.drop();
      return true;
    },
  },
  'platform: connections half-open for 1 to 5 s': {
    inject: ({ platformProxy }, roll) => {
      platformProxy.halfOpen(between(1000, 5000, roll));
      return true;
    },
  },
  'platform: answer without end': {
    inject: ({ platformProxy }, roll) => {
      platformProxy.answerEndlessly(pick(['GET /v2/simulated/job-take', 'POST '], roll), 1);
      return true;
    },
  },
  'S3: 5xx': {
    inject: ({ s3 }, roll) => {
      s3.failNext({ kind: 'refuse', status: pick([500, 503], roll) }, pick([1, 3, 8], roll));
      return true;
    },
  },
  'S3: resets': {
    inject: ({ s3 }, roll) => {
      s3.failNext({ kind: 'reset' }, pick([1, 3], roll));
      return true;
    },
  },
  'S3: connections half-open for 5 s': {
    inject: ({ s3Proxy }) => {
      s3Proxy.halfOpen(5000);
      return true;
    },
  },
  'S3: answer without end': {
    inject: ({ s3Proxy }) => {
      s3Proxy.answerEndlessly('PUT ', 1);
      return true;
    },
  },
  'job cancelled while it runs': {
    inject: ({ cancelJob }) => cancelJob('IN_PROGRESS'),
  },
  'job cancelled while it waits': {
    inject: ({ cancelJob }) => cancelJob('IN_QUEUE'),
  },
} satisfies Record<string, Fault>;

export type FaultKind = keyof typeof TABLE;
export const FAULTS: Readonly<Record<FaultKind, Fault>> = TABLE;
export const FAULT_KINDS = Object.keys(TABLE) as FaultKind[];

const REQUESTS = ['POST /prompt', 'GET /history', 'GET /view', 'GET /queue', 'POST /upload'];
const READS = ['GET /history', 'GET /view', 'GET /queue', 'GET /system_stats'];
const HOUR_MS = 3_600_000;

function pick<T>(items: readonly [T, ...T[]] | readonly T[], roll: number): T {
  const item = items[Math.min(Math.floor(roll * items.length), items.length - 1)];
  if (item === undefined) throw new RangeError('There is nothing to pick from');
  return item;
}

const between = (least: number, most: number, roll: number) => least + roll * (most - least);
