import { systemClock } from '../clock.ts';
import { WorkerError } from '../errors.ts';
import type { JsonText } from '../json.ts';
import { cancellable } from './cancellable.ts';
import { concludeJob, exitCode } from './conclude.ts';
import type { CliContext, JobOptions } from './context.ts';
import {
  hasEnded,
  openEndpoint,
  parseEndpoint,
  type Endpoint,
  type EndpointAddress,
  type JobView,
} from './endpoint.ts';
import { prepareJob, withMember } from './job-file.ts';
import { cancelJob, followJob, submitJob } from './remote-job.ts';
import { openFolder } from './result-files.ts';
import { maybeStep, Screen } from './screen.ts';

export interface SubmitOptions extends JobOptions {
  readonly endpoint: string;
  readonly apiKey?: string;
  readonly webhook?: string;
  readonly watch?: true;
  readonly sync?: true;
}

/** Sends one job to an endpoint. Without `--watch` or `--sync` it only prints the id of the job. @returns the exit code. */
export async function submit(
  file: string,
  options: SubmitOptions,
  context: CliContext,
): Promise<number> {
  const { json = false, quiet, out, timeout, sync = false, watch = false } = options;
  using screen = new Screen({ quiet });
  const address = parseEndpoint(options.endpoint);
  const apiKey = keyFor(address, options.apiKey ?? context.environment.RUNPOD_API_KEY, options);
  const job = withWebhook(await prepareJob(file, options), options.webhook);
  if (watch || sync) await openFolder(out);
  const endpoint = await openEndpoint(address, apiKey);

  return await cancellable({ screen, timeoutS: timeout }, async (signal) => {
    const queued = await submitJob(endpoint, job, { signal, ...(sync ? { waitMs: SYNC_MS } : {}) });
    screen.note(`Job       ${queued.jobId}   ${queued.status}`);
    if (signal.aborted) await cancelJob(endpoint, queued.jobId, screen);
    signal.throwIfAborted();
    if (!watch && !sync) return reportQueued(screen, queued, json);
    const ended = await followOrCancel(endpoint, queued, { screen, signal });
    return concludeJob(ended, { screen, folder: out, json, signal });
  });
}

/** RUNPOD_API_KEY is sent to RunPod only. */
function keyFor(
  { isRunpod }: EndpointAddress,
  known: string | undefined,
  { apiKey = '' }: SubmitOptions,
): string {
  if (!isRunpod) return apiKey;
  if (known !== undefined && known !== '') return known;
  throw new WorkerError(
    'usage.invalid',
    'RunPod needs a key: set RUNPOD_API_KEY, or use --api-key',
  );
}

function withWebhook(job: JsonText, webhook: string | undefined): JsonText {
  if (webhook === undefined) return job;
  if (/^https?:/.test(webhook) && URL.canParse(webhook))
    return withMember(job, 'webhook', JSON.stringify(webhook));
  throw new WorkerError(
    'usage.invalid',
    `Expected --webhook to be a URL, got ${JSON.stringify(webhook)}`,
  );
}

function reportQueued(screen: Screen, { jobId, status }: JobView, json: boolean): number {
  screen.data(json ? JSON.stringify({ id: jobId, status }) : jobId);
  return exitCode('done');
}

async function followOrCancel(
  endpoint: Endpoint,
  queued: JobView,
  { screen, signal }: { readonly screen: Screen; readonly signal: AbortSignal },
): Promise<JobView> {
  try {
    let { status } = queued;
    return await followJob(endpoint, queued, {
      clock: systemClock,
      signal,
      onChange: (job) => {
        const step = hasEnded(job) ? undefined : maybeStep(job.output);
        if (step) screen.progress(step);
        else if (job.status !== status) screen.note(`          ${job.status}`);
        ({ status } = job);
      },
      onHiccup: (reason) => screen.note(`          asking again: ${reason}`),
    });
  } catch (error) {
    if (signal.aborted) await cancelJob(endpoint, queued.jobId, screen);
    throw error;
  }
}

/** Wait of one `/runsync` request: enough for a job of seconds, and short for a person who presses Ctrl-C. */
const SYNC_MS = 10_000;
