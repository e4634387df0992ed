import { systemClock } from '../clock.ts';
import { describeError, WorkerError } from '../errors.ts';
import type { JsonText } from '../json.ts';
import { cancellable } from './cancellable.ts';
import { concludeJob } from './conclude.ts';
import { parseEndpoint, type EndpointAddress } from './endpoint-address.ts';
import { openEndpoint, type Endpoint } from './endpoint.ts';
import { exitCode } from './exit-codes.ts';
import { followJob } from './follow-job.ts';
import { handOver } from './hand-over.ts';
import type { JobOptions } from './job-options.ts';
import { withMember } from './job-text.ts';
import { hasEnded, type JobView } from './job-view.ts';
import type { CliParts } from './parts.ts';
import { prepareJob } from './prepare-job.ts';
import { maybeStep } from './progress-bar.ts';
import { openFolder } from './save-images.ts';
import { Screen } from './screen.ts';

export interface SubmitOptions extends JobOptions {
  readonly endpoint: string;
  readonly apiKey?: string;
  readonly webhook?: string;
  readonly watch?: true;
  readonly sync?: true;
}

/** One job to an endpoint. Without `--watch` or `--sync` it is only handed over, and its id goes to stdout. @returns the exit code. */
export async function submit(
  file: string,
  options: SubmitOptions,
  parts: CliParts,
): Promise<number> {
  const { json = false, quiet, out, timeout, sync = false, watch = false } = options;
  using screen = new Screen({ quiet });
  const address = parseEndpoint(options.endpoint);
  const apiKey = keyFor(address, options.apiKey ?? parts.environment.RUNPOD_API_KEY, options);
  const job = withWebhook(await prepareJob(file, options), options.webhook);
  if (watch || sync) await openFolder(out);
  const endpoint = await openEndpoint(address, apiKey);

  return await cancellable({ screen, timeoutS: timeout }, async (signal) => {
    const queued = await handOver(endpoint, job, { signal, ...(sync ? { waitMs: SYNC_MS } : {}) });
    screen.note(`Job       ${queued.jobId}   ${queued.status}`);
    if (signal.aborted) await cancel(endpoint, queued.jobId, screen);
    signal.throwIfAborted();
    if (!watch && !sync) return told(screen, queued, json);
    const ended = await followOrCancel(endpoint, queued, { screen, signal });
    return concludeJob(ended, { screen, folder: out, json, signal });
  });
}

/** The key of the environment is RunPod's, and is shown to nobody else. */
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

function told(screen: Screen, { jobId, status }: JobView, json: boolean): number {
  screen.data(json ? JSON.stringify({ id: jobId, status }) : jobId);
  return exitCode('done');
}

interface Following {
  readonly screen: Screen;
  readonly signal: AbortSignal;
}

async function followOrCancel(
  endpoint: Endpoint,
  queued: JobView,
  { screen, signal }: Following,
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
    if (signal.aborted) await cancel(endpoint, queued.jobId, screen);
    throw error;
  }
}

/** A few times: a job nobody wants costs money. */
async function cancel(endpoint: Endpoint, jobId: string, screen: Screen): Promise<void> {
  for (let tries = 1; tries <= MOST_TRIES; tries++) {
    try {
      const { status } = await endpoint.cancel(jobId);
      screen.note(`Job       ${jobId}   ${status}`);
      return;
    } catch (error) {
      if (tries === MOST_TRIES)
        screen.problem(`Job ${jobId} may still run: ${describeError(error)}`);
      else await systemClock.sleep(PAUSE_MS);
    }
  }
}

const MOST_TRIES = 4;
const PAUSE_MS = 250;
/** Long enough for a job of seconds, short enough for somebody who presses Ctrl-C. */
const SYNC_MS = 10_000;
