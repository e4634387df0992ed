import { z } from 'zod';
import { isError, WorkerError } from '../errors.ts';
import type { JsonText } from '../json.ts';
import { connectionProblem } from './connection-problem.ts';
import type { EndpointAddress } from './endpoint-address.ts';
import { maybeJobView, type JobView } from './job-view.ts';
import { toRequest } from './request-value.ts';

/** An endpoint as `submit` uses it, through npm `runpod-sdk`. */
export interface Endpoint {
  /** Whether the answer is a job just queued or, with `waitMs`, one that has ended: the endpoint was asked to wait so long. */
  run(job: JsonText, options: { readonly waitMs?: number }): Promise<JobView>;
  status(jobId: string): Promise<JobView>;
  cancel(jobId: string): Promise<JobView>;
}

/** @throws WorkerError `usage.invalid` when RunPod is asked without a key. */
export async function openEndpoint(
  { baseUrl, endpointId }: EndpointAddress,
  apiKey: string,
): Promise<Endpoint> {
  const createSdk = await loadSdk();
  const sdk = createSdk(apiKey, ...(baseUrl === undefined ? [] : [{ baseUrl }]));
  const endpoint = sdk.endpoint(endpointId);
  if (!endpoint) throw new WorkerError('usage.invalid', `${endpointId} is not an endpoint's id`);
  const place = `${sdk.baseUrl}/${endpointId}`;
  return {
    run: (job, { waitMs }) => {
      const request = toRequest(job);
      const bytes = job.text.length;
      return waitMs === undefined
        ? answered(`${place}/run`, endpoint.run(request, UPLOAD_MS), { bytes })
        : answered(`${place}/runsync`, endpoint.runSync(request, waitMs), { bytes, waitMs });
    },
    status: (jobId) => answered(`${place}/status`, endpoint.status(jobId, ANSWER_MS)),
    cancel: (jobId) => answered(`${place}/cancel`, endpoint.cancel(jobId, ANSWER_MS)),
  };
}

/** The SDK prints while it waits, to stdout, which is for data; it takes `console.log` as it finds it when it is loaded. */
async function loadSdk() {
  const log = Object.getOwnPropertyDescriptor(console, 'log') ?? {};
  Object.defineProperty(console, 'log', { ...log, value: () => undefined });
  try {
    return (await import('runpod-sdk')).default;
  } finally {
    Object.defineProperty(console, 'log', log);
  }
}

interface Sent {
  readonly bytes?: number;
  readonly waitMs?: number;
}

/** The SDK bounds a request until its headers are there; this bounds it to its end. */
async function answered(url: string, asked: Promise<unknown>, sent: Sent = {}): Promise<JobView> {
  const { bytes = 0, waitMs = 0 } = sent;
  const timer = Promise.withResolvers<never>();
  const ms = UPLOAD_MS + 3 * waitMs;
  const late = () => timer.reject(unreachable(url, `no whole answer in ${ms / 1000} s`));
  const timeout = setTimeout(late, ms);
  try {
    return toView(url, await Promise.race([asked, timer.promise]));
  } catch (error) {
    throw error instanceof WorkerError ? error : toEndpointError(url, { error, bytes });
  } finally {
    clearTimeout(timeout);
  }
}

function toView(url: string, answer: unknown): JobView {
  const view = maybeJobView(answer);
  if (view) return view;
  const shown = textOf(answer).slice(0, 200) || 'nothing';
  throw new WorkerError('endpoint.refused', `${url} did not answer with a job but with ${shown}`);
}

const ResponseSchema = z.object({
  status: z.number(),
  data: z.unknown().optional(),
});

function toEndpointError(url: string, { error, bytes }: { error: unknown; bytes: number }) {
  const response: unknown = isError(error) && 'response' in error ? error.response : undefined;
  const { data: refusal } = ResponseSchema.safeParse(response);
  if (!refusal) return unreachable(url, connectionProblem(error), error);
  const { status, data } = refusal;
  const what = `${status}${sayingOf(data)}${adviceFor(status, bytes)}`;
  if (LOCKED_OUT.has(status) || status >= 500 || status === 429)
    return unreachable(url, what, { status });
  return new WorkerError('endpoint.refused', `${url} answered ${what}`, { cause: { status } });
}

/** The status an endpoint answered with, if it was that which went wrong. */
export function statusOf(error: unknown): number | undefined {
  const cause: unknown = isError(error) ? error.cause : undefined;
  return z.object({ status: z.number() }).safeParse(cause).data?.status;
}

function unreachable(url: string, what: string, cause?: unknown): WorkerError {
  return new WorkerError('endpoint.unreachable', `${url} cannot be used: ${what}`, { cause });
}

function sayingOf(data: unknown): string {
  const said = textOf(data).slice(0, 300);
  return said === '' ? '' : ` ${said}`;
}

function textOf(data: unknown): string {
  if (data === undefined) return '';
  return typeof data === 'string' ? data : JSON.stringify(data);
}

function adviceFor(status: number, bytes: number): string {
  if (status === 401 || status === 403) return '; check RUNPOD_API_KEY or --api-key';
  if (status === 404) return '; check --endpoint';
  const isLarge = (status === 400 || status === 413) && bytes > RUN_LIMIT_BYTES;
  if (!isLarge) return '';
  const megabytes = (bytes / 1_000_000).toFixed(1);
  return `; the job has ${megabytes} MB, RunPod takes 10 (20 with --sync): send smaller images`;
}

const LOCKED_OUT: ReadonlySet<number> = new Set([401, 403, 404]);
const RUN_LIMIT_BYTES = 10_000_000;
const ANSWER_MS = 15_000;
const UPLOAD_MS = 120_000;
