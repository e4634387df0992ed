import { systemClock, type Clock } from '../../clock.ts';
import { describeError, errnoOf, WorkerError } from '../../errors.ts';
import { redactUrl } from '../../http/redact.ts';
import type { JsonBody } from '../../json-body.ts';
import { JsonText } from '../../json.ts';
import type { Logger } from '../../log.ts';
import { parseJob, type Taken } from '../job.ts';
import { PlatformClient, type Answer, type PlatformClientOptions } from './platform-client.ts';
import type { JobQueue, PostRequest, TakeRequest } from '../queue.ts';
import { watchStops } from './stop-channel.ts';
import { expandUrl, withQuery } from './url-template.ts';

export interface RemoteQueueOptions extends PlatformClientOptions {
  /** URL templates as the platform sets them; see `expandUrl`. */
  readonly getJobUrl: string;
  readonly postOutputUrl: string;
  readonly postStreamUrl?: string | undefined;
  readonly podId: string;
  readonly gpuTypeId?: string | undefined;
  readonly log: Logger;
  readonly clock?: Clock;
  /** How long a poll may stay open; shorter than the default only in tests. */
  readonly pollLimitMs?: number;
}

/** RunPod's HTTP queue. Dispose it when everything has been posted: that closes its connections. */
export function createRemoteQueue(options: RemoteQueueOptions): JobQueue & AsyncDisposable {
  const { getJobUrl, podId, gpuTypeId, log, clock = systemClock } = options;
  const client = new PlatformClient(options);
  const takeUrl = expandUrl(getJobUrl, { podId, gpuTypeId });
  const limitMs = options.pollLimitMs ?? POLL_LIMIT_MS;
  const stopUrl = toStopUrl(takeUrl, log);

  return {
    take: (request) => take(client, takeUrl, { ...request, limitMs }),
    post: async (jobId, body, request) => {
      const url = toPostUrl(options, jobId, request);
      await post(client, url, { jobId, body, signal: request.signal });
    },
    ...(stopUrl && {
      stops: (signal: AbortSignal) =>
        watchStops({ client, url: stopUrl, limitMs, log, clock, signal }),
    }),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

/** The platform's own workers give up a poll after this time, so the platform must answer before. */
const POLL_LIMIT_MS = 90_000;

async function take(
  client: PlatformClient,
  url: string,
  { limit, busy, signal, limitMs }: TakeRequest & { limitMs: number },
): Promise<readonly Taken[]> {
  const answer = await client
    .poll(toTakeUrl(url, limit, busy), { signal, limitMs })
    .catch((error: unknown) => {
      throw signal.aborted ? signal.reason : takeFailed(url, reasonOf(error), { cause: error });
    });
  return answer ? readTaken(url, answer) : [];
}

function toTakeUrl(url: string, limit: number, busy: boolean): string {
  const inProgress = { job_in_progress: busy ? '1' : '0' };
  if (limit === 1) return withQuery(url, inProgress);
  const batchUrl = url.replace('/job-take/', '/job-take-batch/');
  return withQuery(batchUrl, { batch_size: String(limit), ...inProgress });
}

/** Each job of a batch keeps only its own text in memory. */
function readTaken(url: string, answer: Answer): Taken[] {
  const body = readTakeBody(url, answer);
  switch (body?.kind) {
    case 'object':
      return [parseJob(body)];
    case 'array': {
      const items = body.items();
      return items.map((item) => parseJob(items.length > 1 ? item.detached() : item));
    }
    default:
      return [];
  }
}

/** 204 is "no job"; 400 is what a worker gets while FlashBoot pauses or resumes it. */
function readTakeBody(url: string, answer: Answer): JsonText | undefined {
  const { status, text } = answer;
  if (status === 204 || status === 400 || (status === 200 && text === '')) return undefined;
  if (status !== 200)
    throw takeFailed(url, outcomeOf(answer), { retryAfterMs: takeDelayOf(answer) });
  try {
    return JsonText.parse(text);
  } catch (error) {
    throw takeFailed(url, 'the answer is not JSON', { cause: error });
  }
}

function takeDelayOf({ status, retryAfterMs }: Answer): number | undefined {
  return retryAfterMs ?? (status === 429 ? 5000 : undefined);
}

function takeFailed(
  url: string,
  what: string,
  options: { cause?: unknown; retryAfterMs?: number | undefined },
): WorkerError {
  return new WorkerError('platform.take_failed', `[GET] "${withoutQuery(url)}": ${what}`, options);
}

/** The stop channel stands beside the take channel, under the same query. */
function toStopUrl(takeUrl: string, log: Logger): string | undefined {
  if (takeUrl.includes('/job-take/')) return takeUrl.replace('/job-take/', '/job-stop/');
  log.warn(
    { url: withoutQuery(takeUrl) },
    'Jobs cannot be stopped: the URL for jobs has no /job-take/',
  );
  return undefined;
}

function toPostUrl(options: RemoteQueueOptions, jobId: string, request: PostRequest): string {
  const { postOutputUrl, postStreamUrl, podId, gpuTypeId } = options;
  const template = request.kind === 'chunk' ? postStreamUrl : postOutputUrl;
  if (template === undefined) {
    throw new WorkerError(
      'platform.post_refused',
      'The platform has not said where chunks of a stream go; set RUNPOD_WEBHOOK_POST_STREAM',
    );
  }
  const isStream = request.kind === 'result' && request.isStream === true;
  return withQuery(expandUrl(template, { podId, jobId, gpuTypeId }), {
    isStream: String(isStream),
  });
}

async function post(
  client: PlatformClient,
  url: string,
  request: { jobId: string; body: JsonBody; signal: AbortSignal },
): Promise<void> {
  const { signal } = request;
  const place = `[POST] "${withoutQuery(url)}"`;
  const answer = await client.post(url, request).catch((error: unknown) => {
    if (signal.aborted) throw signal.reason;
    throw new WorkerError('platform.post_failed', `${place}: ${reasonOf(error)}`, { cause: error });
  });
  if (answer.status < 300) return;
  const { retryAfterMs } = answer;
  throw new WorkerError(postErrorOf(answer.status), `${place}: ${outcomeOf(answer)}`, {
    retryAfterMs,
  });
}

/** What a refused post means. Keys rotate, so even 401 and 403 may pass; what is only redirected has not arrived. */
function postErrorOf(status: number) {
  if (status < 400 || status >= 500 || PASSING.has(status)) return 'platform.post_failed';
  return GONE.has(status) ? 'platform.job_unknown' : 'platform.post_refused';
}

const PASSING = new Set([401, 403, 408, 425, 429]);
const GONE = new Set([404, 410]);

function outcomeOf({ status, reason, text }: Answer): string {
  const said = text.replace(/\s+/g, ' ').trim().slice(0, 200);
  return `${status} ${reason}${said ? ` (${said})` : ''}${HINTS[status] ?? ''}`;
}

const HINTS: Readonly<Record<number, string>> = {
  401: '; check RUNPOD_AI_API_KEY',
  403: '; check RUNPOD_AI_API_KEY',
};

function reasonOf(error: unknown): string {
  const errno = errnoOf(error);
  const what = describeError(error);
  return errno === undefined || what.includes(errno) ? what : `${errno}: ${what}`;
}

/** The platform may add parameters with `&` to a URL that has no `?`. */
function withoutQuery(url: string): string {
  return redactUrl(url.replace(/[?&].*$/s, ''));
}
