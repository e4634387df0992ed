import { randomUUID } from 'node:crypto';
import { startRunpodSimulator, type RunpodSimulator } from '../../lib/simulator/runpod.ts';
import { uploadPictures } from './comfy.ts';
import { idleTimes, readComfyTimes, type ComfyTimes } from './comfy-times.ts';
import { MemoryWatch, type MemoryOverTime } from './memory-watch.ts';
import type { Prepared, Scenario } from './scenarios.ts';
import { summarize, type Summary } from './statistics.ts';
import { WorkerProcess } from './worker-process.ts';

/** What a scenario showed. Undefined where it could not be measured. */
export interface Figures {
  readonly scenario: string;
  readonly jobs: number;
  readonly jobsPerS: number;
  /** Start of the process to its first request for jobs. */
  readonly coldStartMs: number;
  /** Start of a prompt to its end, as ComfyUI tells. */
  readonly comfyMs: Summary | undefined;
  /** Job handed over to result received, less ComfyUI's part. Of jobs that come one by one: others also wait. */
  readonly overheadMs: Summary | undefined;
  /** ComfyUI's pauses between jobs that were waiting. */
  readonly idleMs: Summary | undefined;
  readonly resultBytes: Summary | undefined;
  readonly cpuMsPerJob: number | undefined;
  readonly peakBytes: number | undefined;
  readonly memory: MemoryOverTime | undefined;
}

export interface Bench {
  readonly workerCommand: string;
  readonly comfyUrl: string;
  /** Ends the worker, and with it the scenario. */
  readonly signal: AbortSignal;
}

/** Runs all jobs of a scenario through a fresh worker. */
export async function runScenario(scenario: Scenario, bench: Bench): Promise<Figures> {
  const prepared = await scenario.prepare();
  await uploadPictures(bench.comfyUrl, prepared.pictures);
  await using platform = await startRunpodSimulator({ keepBodies: false, waitMs: LONGEST_JOB_MS });
  const firstTake = platform.nextTake();
  const env = { ...platform.env, COMFY_URL: bench.comfyUrl, ...scenario.env };
  await using worker = await WorkerProcess.start(bench.workerCommand, env, bench.signal);
  const take = await worker.whileAlive(firstTake);
  await warmUp(platform, worker, prepared);
  const measured = await measure(scenario, { platform, worker, prepared });
  const figures = await figuresOf(scenario, measured, bench.comfyUrl);
  return { ...figures, coldStartMs: take.at - worker.startedAt };
}

interface Running {
  readonly platform: RunpodSimulator;
  readonly worker: WorkerProcess;
  readonly prepared: Prepared;
}

interface Finished {
  readonly prefix: string;
  readonly assignedAt: number;
  readonly doneAt: number;
  readonly resultBytes: number;
}

interface Measured {
  readonly jobs: readonly Finished[];
  readonly elapsedMs: number;
  readonly cpuMs: number | undefined;
  readonly peakBytes: number | undefined;
  readonly memory: MemoryOverTime | undefined;
}

/** The first jobs open connections and are compiled; they belong to the cold start, not to the rest. */
async function warmUp(platform: RunpodSimulator, worker: WorkerProcess, prepared: Prepared) {
  const run = `bench-warm-up-${randomUUID().slice(0, 8)}`;
  for (let job = 0; job < WARM_UP_JOBS; job++) {
    const jobId = platform.submit(prepared.input(WARM_UP_SEED + job, `${run}/job${job}`));
    await worker.whileAlive(platform.result(jobId));
  }
}

async function measure(
  scenario: Scenario,
  { platform, worker, prepared }: Running,
): Promise<Measured> {
  const before = await worker.usage();
  const watch = scenario.soak ? new MemoryWatch(worker) : undefined;
  const beganAt = performance.now();
  const jobs = await worker.whileAlive(runJobs(scenario, platform, prepared));
  const elapsedMs = performance.now() - beganAt;
  const memory = await watch?.stop();
  const after = await worker.usage();
  const cpuMs = before && after ? after.cpuMs - before.cpuMs : undefined;
  return { jobs, elapsedMs, cpuMs, peakBytes: after?.peakBytes, memory };
}

/** Keeps as many jobs on the platform as the scenario wants waiting there. */
async function runJobs(
  { jobs, queued }: Scenario,
  platform: RunpodSimulator,
  prepared: Prepared,
): Promise<Finished[]> {
  const run = `bench-${randomUUID().slice(0, 8)}`;
  const finished: Promise<Finished>[] = [];
  for (let job = 0; job < jobs; job++) {
    if (job >= queued) await finished[job - queued];
    const prefix = `${run}/${Math.floor(job / FILES_PER_FOLDER)}/job${job}`;
    const jobId = platform.submit(prepared.input(job, prefix));
    finished.push(finish(platform, jobId, prefix));
  }
  return Promise.all(finished);
}

async function finish(platform: RunpodSimulator, jobId: string, prefix: string): Promise<Finished> {
  const result = await platform.result(jobId);
  const { assignedAt = NaN, doneAt = NaN, error } = platform.job(jobId) ?? {};
  if (error !== undefined) throw new Error(`A job of the bench failed: ${JSON.stringify(error)}`);
  return { prefix, assignedAt, doneAt, resultBytes: result.bodyBytes };
}

async function figuresOf(
  { name, soak, queued }: Scenario,
  { jobs, elapsedMs, cpuMs, peakBytes, memory }: Measured,
  comfyUrl: string,
): Promise<Omit<Figures, 'coldStartMs'>> {
  const prefixes = jobs.map(({ prefix }) => prefix);
  const times = soak ? [] : await readComfyTimes(comfyUrl, prefixes);
  const known = times.filter((time) => time !== undefined);
  return {
    scenario: name,
    jobs: jobs.length,
    jobsPerS: (jobs.length / elapsedMs) * 1000,
    comfyMs: summarize(known.map(({ startedMs, endedMs }) => endedMs - startedMs)),
    overheadMs: queued > 1 ? undefined : summarize(overheads(jobs, times)),
    idleMs: queued > 1 ? summarize(idleTimes(known)) : undefined,
    resultBytes: summarize(jobs.map(({ resultBytes }) => resultBytes)),
    cpuMsPerJob: cpuMs === undefined ? undefined : cpuMs / jobs.length,
    peakBytes,
    memory,
  };
}

function overheads(
  jobs: readonly Finished[],
  times: readonly (ComfyTimes | undefined)[],
): number[] {
  return times.flatMap((time, index) => {
    const job = jobs[index];
    if (!time || !job) return [];
    return [job.doneAt - job.assignedAt - (time.endedMs - time.startedMs)];
  });
}

const WARM_UP_JOBS = 3;
/** Far from the numbers of measured jobs, so that nothing of theirs is cached. */
const WARM_UP_SEED = 1_000_037;
const LONGEST_JOB_MS = 300_000;
/** ComfyUI reads a whole folder to number a file in it. */
const FILES_PER_FOLDER = 50;
