import { copyFile, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processExists } from '../../lib/processes/process-stat.ts';
import { epochMs } from '../../lib/simulator/comfy/event-log.ts';
import type { JobStatus } from '../../lib/simulator/stand-ins/runpod/jobs.ts';
import { FAULTS } from './faults.ts';
import { planFaults, type PlannedFault } from './plan.ts';
import { Deliveries } from './deliveries.ts';
import type { InjectedFault, RunStory } from './stories.ts';
import { collectStories } from './collect.ts';
import { startWorld, type World } from './world.ts';

export interface ChaosOptions {
  readonly jobs: number;
  readonly seed: number;
  /** Jobs between two faults, on average. */
  readonly every: number;
  /** Fixes the worker's heap; the worker then lives for the whole run. */
  readonly heapMb: number | undefined;
  /** A copy of the worker's log. */
  readonly keepLog: string | undefined;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Runs the jobs under the planned faults, stops everything, and returns what was seen. */
export async function runChaos(options: ChaosOptions) {
  const { say, heapMb } = options;
  await using world = await startWorld(options);
  const chaos = new ChaosRun(world, options);
  const stuck = await chaos.run();
  const usage = await world.worker.usage();
  if (usage) say(`The worker has ${usage.sockets} open sockets at the end`);
  await world.worker.finish(STOP_MS);
  const story: RunStory = {
    jobs: await collectStories(world, chaos.deliveries),
    faults: chaos.injected,
    workerEnds: world.worker.ends,
    leftovers: [
      ...stuck,
      ...((usage?.sockets ?? 0) > MOST_SOCKETS
        ? [`the idle worker had ${usage?.sockets ?? 0} open sockets`]
        : []),
      ...(await leftoversIn(world)),
    ],
    complaints: await complaintsIn(world.logFile),
    memory: chaos.memory,
    hasFixedHeap: heapMb !== undefined,
  };
  if (options.keepLog) await copyFile(world.logFile, options.keepLog);
  return { story, comfyStarts: world.comfy.pids.length };
}

class ChaosRun {
  readonly deliveries: Deliveries;
  readonly injected: InjectedFault[] = [];
  readonly memory: number[] = [];
  readonly #world: World;
  readonly #options: ChaosOptions;
  readonly #plan: PlannedFault[];
  readonly #injecting = new Set<Promise<void>>();
  #ended = 0;

  constructor(world: World, options: ChaosOptions) {
    this.#world = world;
    this.#options = options;
    const { seed, jobs, every, heapMb } = options;
    this.#plan = planFaults({ seed, jobs, every, sparesWorker: heapMb !== undefined });
    this.deliveries = new Deliveries(world.platform);
    world.whenWorkerEnds(() => this.deliveries.workerEnded());
  }

  /** @returns why it was given up; empty when all jobs have ended. */
  async run(): Promise<string[]> {
    const { jobs, say, signal } = this.#options;
    let changedAt = performance.now();
    let saidAt = 0;
    let sampledAt = 0;
    while (this.#ended < jobs) {
      signal.throwIfAborted();
      const before = this.#ended;
      this.#submitMore();
      this.#ended += this.deliveries.update();
      this.#injectDue();
      const now = performance.now();
      if (this.#ended !== before) changedAt = now;
      if (now - changedAt > STUCK_MS)
        return [`no job ended for ${STUCK_MS / 1000} s, ${jobs - this.#ended} have not`];
      if (now - sampledAt > SAMPLE_MS) {
        sampledAt = now;
        const usage = await this.#world.worker.usage();
        if (usage) this.memory.push(usage.residentBytes);
      }
      if (now - saidAt > SAY_MS) {
        saidAt = now;
        say(`${this.#ended} of ${jobs} jobs have ended, ${this.injected.length} faults so far`);
      }
      await sleep(TICK_MS);
    }
    await Promise.all(this.#injecting);
    return [];
  }

  #submitMore(): void {
    const { jobs } = this.#options;
    while (this.deliveries.open < WAITING_JOBS && this.deliveries.count < jobs)
      this.deliveries.submit(this.#world.jobs.next());
  }

  #injectDue(): void {
    for (;;) {
      const [next] = this.#plan;
      if (!next || next.afterJobs > this.#ended) return;
      this.#plan.shift();
      const injecting = this.#inject(next).finally(() => this.#injecting.delete(injecting));
      this.#injecting.add(injecting);
    }
  }

  async #inject({ kind, delayMs, roll }: PlannedFault): Promise<void> {
    await sleep(delayMs);
    const at = epochMs();
    const targets = { ...this.#world, cancelJob: this.#cancelJob };
    if (await FAULTS[kind].inject(targets, roll)) this.injected.push({ kind, at });
  }

  readonly #cancelJob = (status: JobStatus): boolean => this.deliveries.cancelOne(status);
}

async function leftoversIn(world: World): Promise<string[]> {
  const running = world.comfy.pids.filter(processExists).map((pid) => `ComfyUI ${pid} still runs`);
  const listening = (await world.isListening()) ? ['ComfyUI still listens on its port'] : [];
  const files: string[] = [];
  for (const folder of world.folders) {
    const names = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
    for (const entry of names)
      if (entry.isFile()) files.push(`a file is left: ${join(entry.parentPath, entry.name)}`);
  }
  const { violations } = world.platform;
  const unknown = violations.filter(({ jobId }) => !world.platform.job(jobId));
  return [...running, ...listening, ...files, ...unknown.map(({ kind }) => kind)];
}

/** Defects that a log shows although all jobs end well. */
async function complaintsIn(logFile: string): Promise<string[]> {
  const text = await readFile(logFile, 'utf8').catch(() => '');
  const lines = text.split('\n').filter((line) => COMPLAINTS.test(line));
  return lines.slice(0, 10).map((line) => `in the log of the worker: ${line.slice(0, 500)}`);
}

const COMPLAINTS =
  /MaxListenersExceeded|UnhandledPromise|unhandledRejection|worker\.unexpected|heap out of memory/;

/** Jobs that are submitted and have not ended. */
const WAITING_JOBS = 60;
const TICK_MS = 20;
const SAMPLE_MS = 500;
const SAY_MS = 15_000;
const STUCK_MS = 120_000;
const STOP_MS = 60_000;
const MOST_SOCKETS = 64;
