import { systemClock, type Clock } from '../../clock.ts';
import {
  describeError,
  errnoOf,
  WorkerError,
  type ErrorCode,
  type WorkerErrorOptions,
} from '../../errors.ts';
import { redactUrl } from '../../http/redact.ts';
import { JsonText } from '../../json.ts';
import type { Logger } from '../../log.ts';
import type { JobQueue, Taken } from '../queue.ts';
import { RunpodClient, type Answer, type RunpodClientOptions } from './runpod-client.ts';
import { watchStops } from './stop-channel.ts';
import { expandUrl, parseJob, toWireBody, withQuery, type WorkerIdentity } from './wire.ts';

export interface RunpodQueueOptions extends RunpodClientOptions {
  /** URL templates as the platform sets them; see `expandUrl`. */
  readonly getJobUrl: string;
  readonly postOutputUrl: string;
  readonly podId: string;
  /** `unknown` when left out. Reported, with the pod id, when a handler throws. */
  readonly hostname?: string;
  readonly gpuTypeId?: string | undefined;
  readonly log: Logger;
  readonly clock?: Clock;
  /** How long a poll may stay open: 90 s when left out. The platform's own workers wait as long, so it answers earlier. */
  readonly pollLimitMs?: number;
}

/** RunPod's HTTP queue. Dispose it after the last post: that closes its connections. */
export function createRunpodQueue(options: RunpodQueueOptions): JobQueue & AsyncDisposable {
  const { podId, gpuTypeId, hostname = 'unknown', log, clock = systemClock } = options;
  const client = new RunpodClient(options);
  const limitMs = options.pollLimitMs ?? POLL_LIMIT_MS;
  const worker: WorkerIdentity = { hostname, podId };
  const takeUrl = expandUrl(options.getJobUrl, { podId, gpuTypeId });
  const stopUrl = toStopUrl(takeUrl, log);

  return {
    replacesWorkers: true,

    async take({ limit, busy, signal }) {
      const query = { job_in_progress: busy ? '1' : '0' };
      const batchUrl = takeUrl.replace('/job-take/', '/job-take-batch/');
      const url =
        limit === 1
          ? withQuery(takeUrl, query)
          : withQuery(batchUrl, { batch_size: String(limit), ...query });
      const answer = await client.poll(url, { signal, limitMs }).catch((error: unknown) => {
        if (signal.aborted) throw signal.reason;
        throw takeError(takeUrl, reasonOf(error), { cause: error });
      });
      return answer ? readTaken(takeUrl, answer) : [];
    },

    async post(jobId, update, { signal }) {
      const url = expandUrl(options.postOutputUrl, { podId, jobId, gpuTypeId });
      const body = toWireBody(update, worker);
      const answer = await client
        .post(withQuery(url, { isStream: 'false' }), { jobId, body, signal })
        .catch((error: unknown) => {
          if (signal.aborted) throw signal.reason;
          throw postError('platform.post_failed', url, reasonOf(error), { cause: error });
        });
      if (answer.status < 300) return;
      const { status, retryAfterMs } = answer;
      throw postError(postErrorOf(status), url, outcomeOf(answer), { retryAfterMs });
    },

    ...(stopUrl && {
      stops: (signal: AbortSignal) =>
        watchStops({ client, url: stopUrl, limitMs, log, clock, signal }),
    }),

    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

const POLL_LIMIT_MS = 90_000;

/** 204 means "no job"; 400 is answered while FlashBoot pauses or resumes the worker. */
function readTaken(url: string, answer: Answer): Taken[] {
  const { status, body: bytes } = answer;
  if (status === 204 || status === 400 || (status === 200 && bytes.length === 0)) return [];
  if (status !== 200) {
    const retryAfterMs = answer.retryAfterMs ?? (status === 429 ? 5000 : undefined);
    throw takeError(url, outcomeOf(answer), { retryAfterMs });
  }
  let body: JsonText;
  try {
    body = JsonText.parse(bytes);
  } catch (error) {
    throw takeError(url, 'the answer is not JSON', { cause: error });
  }
  if (body.kind === 'object') return [withRelease(parseJob(body), answer.release)];
  if (body.kind !== 'array') return [];
  const items = body.items();
  if (items.length === 1) return items.map((item) => withRelease(parseJob(item), answer.release));
  // Detached, each job of a batch keeps only its own text in memory.
  return items.map((item) => parseJob(item.detached()));
}

function withRelease(taken: Taken, release: () => void): Taken {
  return taken.kind === 'job' ? { ...taken, job: { ...taken.job, release } } : taken;
}

function takeError(url: string, what: string, options: WorkerErrorOptions): WorkerError {
  return new WorkerError('platform.take_failed', `[GET] "${withoutQuery(url)}": ${what}`, options);
}

function postError(
  code: ErrorCode,
  url: string,
  what: string,
  options: WorkerErrorOptions,
): WorkerError {
  return new WorkerError(code, `[POST] "${withoutQuery(url)}": ${what}`, options);
}

/** The stop channel is beside the take channel, with the same query. */
function toStopUrl(takeUrl: string, log: Logger): string | undefined {
  if (takeUrl.includes('/job-take/')) return takeUrl.replace('/job-take/', '/job-stop/');
  log.warn(
    { url: withoutQuery(takeUrl) },
    'Jobs cannot be stopped: the URL for jobs has no /job-take/',
  );
  return undefined;
}

/** Keys rotate, so even 401 and 403 may pass; a redirect means the post has not arrived. */
function postErrorOf(status: number): ErrorCode {
  if (status < 400 || status >= 500 || RETRIED.has(status)) return 'platform.post_failed';
  return JOB_GONE.has(status) ? 'platform.job_unknown' : 'platform.post_refused';
}

const RETRIED = new Set([401, 403, 408, 425, 429]);
const JOB_GONE = new Set([404, 410]);

function outcomeOf({ status, reason, body: bytes }: Answer): string {
  const body = bytes.toString().replace(/\s+/g, ' ').trim().slice(0, 200);
  const hint = status === 401 || status === 403 ? '; check RUNPOD_AI_API_KEY' : '';
  return `${status} ${reason}${body ? ` (${body})` : ''}${hint}`;
}

function reasonOf(error: unknown): string {
  const errno = errnoOf(error);
  const what = describeError(error);
  return errno === undefined || what.includes(errno) ? what : `${errno}: ${what}`;
}

/** The platform may add parameters with `&` to a URL that has no `?`. */
function withoutQuery(url: string): string {
  return redactUrl(url.replace(/[?&].*$/s, ''));
}
