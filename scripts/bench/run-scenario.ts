import { randomUUID } from 'node:crypto';
import {
  startRunpodSimulator,
  type RunpodSimulator,
} from '../../lib/simulator/stand-ins/runpod.ts';
import { freePort } from '../../lib/http/test-free-port.ts';
import {
  longestTurnMs,
  runClients,
  untilReady,
  runJobs,
  throughBareClient,
  throughPlatform,
  warmUp,
  type Finished,
  type Submit,
} from './jobs.ts';
import { BareClient } from './bare.ts';
import { uploadPictures, idleTimes, readComfyTimes, type ComfyTimes } from './comfy.ts';
import { NOT_MEASURED, type Figures } from './report.ts';
import { MemoryWatch, WorkerProcess, type MemoryOverTime } from './worker-process.ts';
import type {
  ClientScenario,
  JobScenario,
  Prepared,
  Scenario,
  StartScenario,
} from './scenarios.ts';
import { summarize } from './statistics.ts';

export interface Bench {
  readonly workerCommand: string;
  readonly comfyUrl: string;
  /** Stops the worker and ends the scenario. */
  readonly signal: AbortSignal;
}

/** Every scenario has its own workers and platform. ComfyUI is shared. */
export function runScenario(scenario: Scenario, bench: Bench): Promise<Figures> {
  switch (scenario.kind) {
    case 'starts':
      return runStarts(scenario, bench);
    case 'jobs':
      return runJobScenario(scenario, bench);
    case 'rounds':
      return runRounds(scenario, bench);
  }
}

async function runStarts({ name, count, env }: StartScenario, bench: Bench): Promise<Figures> {
  const firstTakes: number[] = [];
  for (let start = 0; start < count; start++) {
    await using platform = await startPlatform();
    await using worker = await startWorker(bench, platform, env);
    const take = await worker.whileAlive(platform.nextTake());
    firstTakes.push(take.at - worker.startedAt);
  }
  return { ...NOT_MEASURED, scenario: name, count, firstTakeMs: summarize(firstTakes) };
}

async function runJobScenario(scenario: JobScenario, bench: Bench): Promise<Figures> {
  const prepared = await scenario.prepare();
  await uploadPictures(bench.comfyUrl, prepared.pictures);
  await using platform = await startPlatform();
  await using worker = await startWorker(bench, platform, scenario.env);
  await worker.whileAlive(platform.nextTake());
  const measuring = measure(scenario, {
    prepared,
    worker,
    submit: throughPlatform(platform),
    bench,
  });
  return await worker.whileAlive(measuring);
}

/** Runs a scenario of single jobs with the bare client: the least that its jobs can cost. */
export async function runBareClient(scenario: JobScenario, bench: Bench): Promise<Figures> {
  const prepared = await scenario.prepare();
  await uploadPictures(bench.comfyUrl, prepared.pictures);
  await using worker = await BareClient.start(bench.comfyUrl);
  const named = { ...scenario, name: `${scenario.name}, bare client` };
  return await measure(named, { prepared, worker, submit: throughBareClient(worker), bench });
}

async function measure(
  scenario: JobScenario,
  {
    prepared,
    worker,
    submit,
    bench,
  }: {
    readonly prepared: Prepared;
    readonly worker: Pick<WorkerProcess, 'usage'>;
    readonly submit: Submit;
    readonly bench: Bench;
  },
): Promise<Figures> {
  const idle = await worker.usage();
  await warmUp(submit, prepared);
  const before = await worker.usage();
  const watch = scenario.soak ? new MemoryWatch(worker) : undefined;
  const beganAt = performance.now();
  const jobs = await runJobs(submit, prepared, scenario);
  const elapsedMs = performance.now() - beganAt;
  const memory = await watch?.stop();
  const after = await worker.usage();
  const cpuMs = before && after ? after.cpuMs - before.cpuMs : undefined;
  const times = scenario.soak ? [] : await timesOf(jobs, bench.comfyUrl);
  return toFigures(scenario, {
    jobs,
    times,
    elapsedMs,
    cpuMs,
    idleBytes: idle?.residentBytes,
    peakBytes: after?.peakBytes,
    memory,
  });
}

async function runRounds(scenario: ClientScenario, bench: Bench): Promise<Figures> {
  const { name, count, clients } = scenario;
  const prepared = await scenario.prepare();
  await uploadPictures(bench.comfyUrl, prepared.pictures);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const env = { COMFY_URL: bench.comfyUrl, ...SERVE, API_PORT: String(port), ...scenario.env };
  await using worker = await WorkerProcess.start(bench.workerCommand, env, bench.signal);
  await worker.whileAlive(untilReady(url, bench.signal));
  await longestTurnMs(url); // discards the blocks during start
  const longest: number[] = [];
  const before = await worker.usage();
  const beganAt = performance.now();
  for (let round = 0; round < count; round++) {
    const jobs = Array.from({ length: clients }, (_, job) => round * clients + job);
    const inputs = jobs.map((job) => prepared.input(job, `bench-${randomUUID()}/job`));
    await worker.whileAlive(runClients(url, inputs));
    longest.push(await longestTurnMs(url));
  }
  const elapsedMs = performance.now() - beganAt;
  const after = await worker.usage();
  const jobs = count * clients;
  return {
    ...NOT_MEASURED,
    scenario: name,
    count,
    jobsPerS: (jobs / elapsedMs) * 1000,
    longestTurnMs: summarize(longest),
    cpuMsPerJob: before && after && (after.cpuMs - before.cpuMs) / jobs,
    peakBytes: after?.peakBytes,
  };
}

function startPlatform(): Promise<RunpodSimulator> {
  return startRunpodSimulator({ keepBodies: false, waitMs: LONGEST_JOB_MS });
}

function startWorker(
  { workerCommand, comfyUrl, signal }: Bench,
  platform: RunpodSimulator,
  env: Readonly<Record<string, string>> = {},
): Promise<WorkerProcess> {
  const all = { ...platform.env, COMFY_URL: comfyUrl, ...env };
  return WorkerProcess.start(workerCommand, all, signal);
}

type Times = readonly (ComfyTimes | undefined)[];

function timesOf(jobs: readonly Finished[], comfyUrl: string): Promise<Times> {
  return readComfyTimes(
    comfyUrl,
    jobs.map(({ prefix }) => prefix),
  );
}

interface Measured {
  readonly jobs: readonly Finished[];
  /** In the order of `jobs`. */
  readonly times: Times;
  readonly elapsedMs: number;
  readonly cpuMs: number | undefined;
  readonly idleBytes: number | undefined;
  readonly peakBytes: number | undefined;
  readonly memory: MemoryOverTime | undefined;
}

function toFigures({ name, queued }: JobScenario, measured: Measured): Figures {
  const { jobs, times, elapsedMs, cpuMs, idleBytes, peakBytes, memory } = measured;
  const known = times.filter((time) => time !== undefined);
  const oneByOne = queued === 1;
  return {
    ...NOT_MEASURED,
    scenario: name,
    count: jobs.length,
    jobsPerS: (jobs.length / elapsedMs) * 1000,
    comfyMs: summarize(known.map(({ startedMs, endedMs }) => endedMs - startedMs)),
    overheadMs: oneByOne ? summarize(overheads(jobs, times)) : undefined,
    idleMs: oneByOne ? undefined : summarize(idleTimes(known)),
    resultBytes: summarize(jobs.map(({ resultBytes }) => resultBytes)),
    cpuMsPerJob: cpuMs === undefined ? undefined : cpuMs / jobs.length,
    idleBytes,
    peakBytes,
    memory,
  };
}

function overheads(jobs: readonly Finished[], times: Times): number[] {
  return times.flatMap((time, index) => {
    const job = jobs[index];
    if (!time || !job) return [];
    return [job.doneAt - job.assignedAt - (time.endedMs - time.startedMs)];
  });
}

const SERVE = { SERVE_API_LOCALLY: 'true', API_HOST: '127.0.0.1', API_KEY: '' };

const LONGEST_JOB_MS = 300_000;
