import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pLimit from 'p-limit';
import { z } from 'zod';
import type { RunpodSimulator } from '../../lib/simulator/stand-ins/runpod.ts';
import type { BareClient, BareJob } from './bare.ts';
import type { JobScenario, Prepared } from './scenarios.ts';

/** A job with its result. Times are `performance.now()`. */
export interface Finished {
  /** Prefix of its output files, different for each job. */
  readonly prefix: string;
  readonly assignedAt: number;
  readonly doneAt: number;
  readonly resultBytes: number;
}

/** Runs one job with this input to its end. `prefix` is that of its output files. */
export type Submit = (input: unknown, prefix: string) => Promise<Finished>;

/** Jobs that are not measured: they wait for the worker to start, open connections and warm up the JIT compiler. */
export async function warmUp(submit: Submit, prepared: Prepared): Promise<void> {
  const run = newRun();
  for (let job = WARM_UP_FROM; job < WARM_UP_FROM + WARM_UP_JOBS; job++) {
    const prefix = `${run}/job${job}`;
    await submit(prepared.input(job, prefix), prefix);
  }
}

/** Submits jobs so that the scenario's number of jobs is always waiting. */
export async function runJobs(
  submit: Submit,
  prepared: Prepared,
  { count, queued }: Pick<JobScenario, 'count' | 'queued'>,
): Promise<Finished[]> {
  const run = newRun();
  const limit = pLimit(queued);
  const numbers = Array.from({ length: count }, (_, job) => job);
  return limit.map(numbers, (job) => {
    const prefix = `${run}/${Math.floor(job / JOBS_PER_FOLDER)}/job${job}`;
    return submit(prepared.input(job, prefix), prefix);
  });
}

/** Submits jobs to the platform. */
export function throughPlatform(platform: RunpodSimulator): Submit {
  return async (input, prefix) => {
    const jobId = platform.submit(input);
    const result = await platform.result(jobId);
    const { assignedAt = NaN, doneAt = NaN, error } = platform.job(jobId) ?? {};
    if (error !== undefined) throw new Error(`A job of the bench failed: ${JSON.stringify(error)}`);
    return { prefix, assignedAt, doneAt, resultBytes: result.bodyBytes };
  };
}

/** Gives jobs to the bare client, without a queue. */
export function throughBareClient(client: BareClient): Submit {
  return async (input, prefix) => {
    const { workflow, images = [] } = input as Partial<BareJob>;
    const { ms, resultBytes } = await client.run({ workflow, images });
    return { prefix, assignedAt: 0, doneAt: ms, resultBytes };
  };
}

function newRun(): string {
  return `bench-${randomUUID().slice(0, 8)}`;
}

const WARM_UP_JOBS = 3;
/** Far from the numbers of measured jobs, so that ComfyUI's cache does not mix them up. */
const WARM_UP_FROM = 1_000_037;
/** Jobs per output folder. ComfyUI lists the whole folder to number a file, so large folders are slow. */
const JOBS_PER_FOLDER = 50;

const JobSchema = z.object({ id: z.string(), status: z.string() });

/** Clients of the local API that all send a job at once and poll until it has ended. */
export async function runClients(url: string, inputs: readonly unknown[]): Promise<void> {
  const statuses = await Promise.all(inputs.map((input) => runClient(url, input)));
  const failed = statuses.filter((status) => status !== 'COMPLETED');
  if (failed.length > 0) throw new Error(`${failed.length} jobs of the bench are ${failed[0]}`);
}

async function runClient(url: string, input: unknown): Promise<string> {
  const body = JSON.stringify({ input });
  let job = await ask(`${url}/run`, { method: 'POST', body });
  while (job.status === 'IN_QUEUE' || job.status === 'IN_PROGRESS') {
    await sleep(POLL_MS);
    job = await ask(`${url}/status/${job.id}`);
  }
  return job.status;
}

async function ask(url: string, init?: RequestInit): Promise<z.infer<typeof JobSchema>> {
  const response = await fetch(url, init);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  return JobSchema.parse(await response.json());
}

/** The longest time the worker's event loop was blocked since the last call, from its own metrics. */
export async function longestTurnMs(url: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const [, seconds] = /^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(metrics) ?? [];
  if (seconds === undefined) throw new Error(`${url}/metrics does not tell of the event loop`);
  return Number(seconds) * 1000;
}

/**
 * Waits until the worker answers.
 * @throws Error after 30 s; the abort reason of `signal`.
 */
export async function untilReady(url: string, signal: AbortSignal): Promise<void> {
  const givesUpAt = performance.now() + START_MS;
  while (performance.now() < givesUpAt) {
    const response = await fetch(`${url}/ready`, { signal }).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.ok) return;
    await sleep(POLL_MS, undefined, { signal });
  }
  throw new Error(
    `${url}/ready did not answer within ${START_MS / 1000} s; does the worker serve its API?`,
  );
}

const POLL_MS = 100;
const START_MS = 30_000;
