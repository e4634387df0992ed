import type { EndpointInputPayload } from 'runpod-sdk';
import { z } from 'zod';
import { isError, WorkerError } from '../errors.ts';
import { limitedResponse, type AnswerLimit } from '../http/answer-limit.ts';
import { under } from '../http/base-url.ts';
import { shortReason } from '../http/failure.ts';
import type { JsonText } from '../json.ts';

/** A job as `/status` answers it. */
const JobViewSchema = z
  .object({
    id: z.string(),
    status: z.enum(['IN_QUEUE', 'IN_PROGRESS', 'COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT']),
    /** The result, or the latest progress. */
    output: z.unknown().optional(),
    error: z
      .unknown()
      .optional()
      .transform((error) =>
        error === undefined || typeof error === 'string' ? error : JSON.stringify(error),
      ),
    delayTime: z.number().optional(),
    executionTime: z.number().optional(),
  })
  .transform(({ id, ...view }) => ({ jobId: id, ...view }));

export type JobView = z.infer<typeof JobViewSchema>;

export function hasEnded({ status }: JobView): boolean {
  return status !== 'IN_QUEUE' && status !== 'IN_PROGRESS';
}

/** The address of an endpoint, as the SDK takes it. */
export interface EndpointAddress {
  /** Absent for RunPod itself. */
  readonly baseUrl?: string;
  readonly endpointId: string;
  /** Whether RUNPOD_API_KEY may be sent there. */
  readonly isRunpod: boolean;
}

/**
 * Reads an id on RunPod, or a URL: `http://127.0.0.1:8000` or `http://127.0.0.1:8000/v2/local`, with or without `/run` at the end.
 * @throws WorkerError `usage.invalid`.
 */
export function parseEndpoint(text: string): EndpointAddress {
  if (/^[\w-]+$/.test(text)) return { endpointId: text, isRunpod: true };
  const url = maybeHttpUrl(text);
  if (!url) throw notAnEndpoint(text);
  const path = under(url.pathname, '').replace(/\/(?:run|runsync)$/, '');
  const [, prefix = '', endpointId] = /^(.*?\/v2)(?:\/([^/]+))?$/.exec(path) ?? [];
  if (prefix === '' && path !== '') throw notAnEndpoint(text);
  return {
    baseUrl: `${url.origin}${prefix || '/v2'}`,
    endpointId: endpointId ?? 'local',
    isRunpod: url.protocol === 'https:' && /(?:^|\.)runpod\.(?:ai|io|net)$/.test(url.hostname),
  };
}

function maybeHttpUrl(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url && /^https?:$/.test(url.protocol) ? url : undefined;
}

function notAnEndpoint(text: string): WorkerError {
  return new WorkerError(
    'usage.invalid',
    `Expected --endpoint to be an id, or a URL like http://127.0.0.1:8000/v2/local, got ${JSON.stringify(text)}`,
  );
}

/** An endpoint, reached through npm `runpod-sdk`. */
export interface Endpoint {
  /** Submits a job. With `waitMs` the endpoint waits that long for the job to end before it answers. */
  run(job: JsonText, options: { readonly waitMs?: number }): Promise<JobView>;
  status(jobId: string): Promise<JobView>;
  cancel(jobId: string): Promise<JobView>;
}

/** @throws WorkerError `usage.invalid` when RunPod is asked without a key. */
export async function openEndpoint(
  { baseUrl, endpointId }: EndpointAddress,
  apiKey: string,
  limit: AnswerLimit = JOB_VIEW,
): Promise<Endpoint> {
  const createSdk = await loadSdk();
  const sdk = createSdk(apiKey, ...(baseUrl === undefined ? [] : [{ baseUrl }]));
  const endpoint = sdk.endpoint(endpointId);
  if (!endpoint) throw new WorkerError('usage.invalid', `${endpointId} is not an endpoint's id`);
  const place = `${sdk.baseUrl}/${endpointId}`;
  limitAnswersBelow(place, limit);
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

/** The SDK prints to stdout, which is for data. It keeps the `console.log` it finds while loading, so that one is silent. */
async function loadSdk() {
  const log = Object.getOwnPropertyDescriptor(console, 'log') ?? {};
  Object.defineProperty(console, 'log', { ...log, value: () => undefined });
  try {
    return (await import('runpod-sdk')).default;
  } finally {
    Object.defineProperty(console, 'log', log);
  }
}

/** The SDK calls the global `fetch` and reads answers of any size. Those of its endpoints get a limit. */
function limitAnswersBelow(place: string, limit: AnswerLimit): void {
  const plainFetch = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    const response = await plainFetch(input, init);
    const url = input instanceof Request ? input.url : input.toString();
    return url.startsWith(`${place}/`) ? limitedResponse(response, limit) : response;
  };
}

/** The SDK limits the time until the headers arrive; this limits the whole request. */
async function answered(
  url: string,
  asked: Promise<unknown>,
  { bytes = 0, waitMs = 0 }: { readonly bytes?: number; readonly waitMs?: number } = {},
): Promise<JobView> {
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
  const view = JobViewSchema.safeParse(answer).data;
  if (view) return view;
  const shown = asText(answer).slice(0, 200) || 'nothing';
  throw new WorkerError('endpoint.refused', `${url} did not answer with a job but with ${shown}`);
}

const ResponseSchema = z.object({
  status: z.number(),
  data: z.unknown().optional(),
});

function toEndpointError(url: string, { error, bytes }: { error: unknown; bytes: number }) {
  const response: unknown = isError(error) && 'response' in error ? error.response : undefined;
  const { data: refusal } = ResponseSchema.safeParse(response);
  if (!refusal) return unreachable(url, shortReason(error), error);
  const { status, data } = refusal;
  const what = `${status}${quote(data)}${adviceFor(status, bytes)}`;
  if (LOCKED_OUT.has(status) || status >= 500 || status === 429)
    return unreachable(url, what, { status });
  return new WorkerError('endpoint.refused', `${url} answered ${what}`, { cause: { status } });
}

/** The HTTP status of an endpoint's error answer; undefined for other errors. */
export function statusOf(error: unknown): number | undefined {
  const cause: unknown = isError(error) ? error.cause : undefined;
  return z.object({ status: z.number() }).safeParse(cause).data?.status;
}

function unreachable(url: string, what: string, cause?: unknown): WorkerError {
  return new WorkerError('endpoint.unreachable', `${url} cannot be used: ${what}`, { cause });
}

function quote(data: unknown): string {
  const said = asText(data).slice(0, 300);
  return said === '' ? '' : ` ${said}`;
}

function asText(data: unknown): string {
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

/**
 * The job as a value for the SDK. JavaScript rounds integers beyond 2^53, and seeds may be larger. An input with such an integer
 * is sent as a string of JSON, which workers accept, too.
 */
function toRequest(job: JsonText): EndpointInputPayload {
  const request = job.value() as EndpointInputPayload;
  const input = job.get('input');
  return input && hasRoundedInteger(input) ? { ...request, input: input.text } : request;
}

function hasRoundedInteger(json: JsonText): boolean {
  if (json.kind === 'object') return json.entries().some(([, member]) => hasRoundedInteger(member));
  if (json.kind === 'array') return json.items().some(hasRoundedInteger);
  if (json.kind !== 'number' || !/^-?\d+$/.test(json.text)) return false;
  return !Number.isSafeInteger(Number(json.text));
}

const LOCKED_OUT: ReadonlySet<number> = new Set([401, 403, 404]);
const RUN_LIMIT_BYTES = 10_000_000;
/** RunPod's results have at most 20 MB; a local endpoint may return more. */
const JOB_VIEW = { maxBytes: 256 * 1024 * 1024 };
const ANSWER_MS = 15_000;
const UPLOAD_MS = 120_000;
