import { createHash, randomUUID } from 'node:crypto';
import type { RecordedRequest, Reply, Route } from './requests.ts';
import { JsonText } from '../../../json.ts';
import { isTerminal, type Jobs, type SimulatedJob } from './jobs.ts';

type Answer = (platform: Platform, exchange: Exchange) => void | Promise<void>;

/** Routes for workers. The key is the whole `Authorization` header. */
const WORKER_ROUTES: Partial<Record<Route, Answer>> = {
  'job-take': answerTake,
  'job-take-batch': answerTake,
  'job-stop': answerStop,
  'job-done': answerPost,
  ping: (_platform, { reply }) => void reply.json('{}'),
};

/** Routes for clients. The key may also be sent as a bearer token. */
const CLIENT_ROUTES: Partial<Record<Route, Answer>> = {
  run: answerRun,
  runsync: answerRunSync,
  status: answerStatus,
  'status-sync': answerStatusSync,
  cancel: answerCancel,
  health: answerHealth,
};

/** Answers a request, with 401 if its key is wrong. */
export async function answer(platform: Platform, exchange: Exchange, key: string): Promise<void> {
  const { route, headers } = exchange.request;
  const ofClient = CLIENT_ROUTES[route];
  const allowed =
    headers.authorization === key || (ofClient && headers.authorization === `Bearer ${key}`);
  if (!allowed) return void exchange.reply.json('{"error":"unauthorized"}', 401);
  await (ofClient ?? WORKER_ROUTES[route])?.(platform, exchange);
}

/** Holds the request until there is a job; 204 after `takeHoldMs`. */
function answerTake(platform: Platform, { request, reply }: Exchange): void {
  const batch = request.route === 'job-take-batch';
  const giveUp = platform.jobs.take({
    workerId: request.ids[0] ?? '',
    count: batch ? Math.max(1, Number(request.query.batch_size) || 1) : 1,
    give: (deliveries) => {
      const texts = deliveries.map(({ text }) => text);
      if (!reply.json(batch ? `[${texts.join(',')}]` : texts.join(''))) return false;
      reply.onClose((delivered) => {
        if (!delivered) platform.jobs.putBack(deliveries);
      });
      return true;
    },
  });
  holdFor(platform.takeHoldMs, reply, giveUp);
}

/** Holds the request until a job of this worker is cancelled; 204 after `stopHoldMs`. */
function answerStop(platform: Platform, { request, reply }: Exchange): void {
  const give = (jobIds: readonly string[]) => reply.json(JSON.stringify({ jobsToStop: jobIds }));
  holdFor(platform.stopHoldMs, reply, platform.stops.listen(request.ids[0] ?? '', give));
}

/** Accepts a result or progress with any content type. */
function answerPost(platform: Platform, { request, record, reply }: Exchange): void {
  const jobId = request.ids[1] ?? '';
  const digest = createHash('sha256').update(request.bodyText).digest('base64');
  platform.jobs.post(jobId, record, request.body, digest);
  reply.json('{}');
}

function holdFor(ms: number, reply: Reply, giveUp: () => void): void {
  if (!reply.open) {
    giveUp();
    return;
  }
  const timer = setTimeout(() => {
    giveUp();
    reply.nothing();
  }, ms);
  reply.onClose(() => {
    clearTimeout(timer);
    giveUp();
  });
}

/** Queues a job. Unknown top-level members of the request are dropped. */
function answerRun({ jobs }: Platform, exchange: Exchange): void {
  const jobId = submitJob(jobs, exchange, `${randomUUID()}-u1`);
  if (jobId) exchange.reply.json(JSON.stringify({ id: jobId, status: 'IN_QUEUE' }));
}

/** Queues a job and waits for its end, at most `wait` milliseconds. */
async function answerRunSync({ jobs }: Platform, exchange: Exchange): Promise<void> {
  const jobId = submitJob(jobs, exchange, `sync-${randomUUID()}-u1`);
  if (jobId) await answerWhenEnded(jobs, exchange, jobId);
}

function answerStatus({ jobs }: Platform, { request, reply }: Exchange): void {
  const job = jobs.get(request.ids[0] ?? '');
  if (job) reply.json(JSON.stringify(toView(job)));
  else reply.json('{"error":"job not found"}', 404);
}

async function answerStatusSync(platform: Platform, exchange: Exchange): Promise<void> {
  const { jobs } = platform;
  const [jobId = ''] = exchange.request.ids;
  if (jobs.get(jobId)) await answerWhenEnded(jobs, exchange, jobId);
  else answerStatus(platform, exchange);
}

function answerCancel(platform: Platform, exchange: Exchange): void {
  const [jobId = ''] = exchange.request.ids;
  if (platform.jobs.get(jobId)) cancelJob(platform, jobId);
  answerStatus(platform, exchange);
}

/** Counts of jobs by status. Only workers that are running a job are counted. */
function answerHealth({ jobs }: Platform, { reply }: Exchange): void {
  const running = jobs.count('IN_PROGRESS');
  const counts = {
    completed: jobs.count('COMPLETED'),
    failed: jobs.count('FAILED'),
    inProgress: running,
    inQueue: jobs.count('IN_QUEUE'),
    retried: 0,
  };
  const workers = { idle: 0, initializing: 0, ready: 0, running, throttled: 0, unhealthy: 0 };
  reply.json(JSON.stringify({ jobs: counts, workers }));
}

/** The job's id, or undefined after a 400. */
function submitJob(jobs: Jobs, { request, reply }: Exchange, jobId: string): string | undefined {
  const text = toJobText(jobId, request.bodyText);
  if (!text) {
    reply.json('{"error":"the body is not JSON with an input"}', 400);
    return undefined;
  }
  jobs.submit(jobId, text);
  return jobId;
}

/** The job object for the worker. Members keep the text of the request, so that no number is rounded. */
function toJobText(jobId: string, requestText: string): string | undefined {
  const request = JsonText.maybeParse(requestText);
  if (!request?.get('input')) return undefined;
  const members = PASSED_ON.flatMap((key) => {
    const member = request.get(key);
    return member ? [`"${key}":${member.text}`] : [];
  });
  return `{"id":${JSON.stringify(jobId)},${members.join(',')}}`;
}

async function answerWhenEnded(jobs: Jobs, exchange: Exchange, jobId: string): Promise<void> {
  const wait = Number(exchange.request.query.wait ?? Number.NaN);
  const waitMs = Number.isNaN(wait) ? 90_000 : Math.min(Math.max(wait, 1000), 300_000);
  const gaveUp = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => gaveUp.resolve(undefined), waitMs);
  exchange.reply.onClose(() => gaveUp.resolve(undefined));
  await Promise.race([jobs.ended(jobId), gaveUp.promise]);
  clearTimeout(timer);
  const job = jobs.get(jobId);
  if (job) exchange.reply.json(JSON.stringify(toView(job)));
}

/** The job as `/status` shows it. */
function toView(job: SimulatedJob): Record<string, unknown> {
  const { jobId, status, submittedAt, assignedAt, doneAt, workerId, output, error } = job;
  const wholeMs = (ms: number) => Math.max(0, Math.round(ms));
  const started = assignedAt === undefined ? {} : { delayTime: wholeMs(assignedAt - submittedAt) };
  const ended =
    assignedAt === undefined || doneAt === undefined || !isTerminal(status)
      ? {}
      : { executionTime: wholeMs(doneAt - assignedAt) };
  return { id: jobId, status, ...started, ...ended, workerId, output, error };
}

const PASSED_ON = ['input', 'webhook', 's3Config', 'policy'] as const;

/** The state behind the routes. */
export interface Platform {
  readonly jobs: Jobs;
  readonly stops: Stops;
  /** How long a poll is held before 204, in milliseconds. */
  readonly takeHoldMs: number;
  readonly stopHoldMs: number;
}

/** A request, its record (possibly without the body), and its answer. */
export interface Exchange {
  readonly request: RecordedRequest;
  readonly record: RecordedRequest;
  readonly reply: Reply;
}

/** Cancels a job. If a worker has it, the worker learns of it through its stop channel. */
export function cancelJob({ jobs, stops }: Platform, jobId: string): void {
  const workerId = jobs.cancel(jobId);
  if (workerId !== undefined) stops.add(workerId, jobId);
}

type Give = (jobIds: readonly string[]) => boolean;

/** The stop channel: ids of cancelled jobs by worker, kept until the worker asks. */
export class Stops {
  readonly #pending = new Map<string, string[]>();
  readonly #listeners = new Map<string, Set<Give>>();

  add(workerId: string, jobId: string): void {
    this.#pending.set(workerId, [...(this.#pending.get(workerId) ?? []), jobId]);
    for (const give of this.#listeners.get(workerId) ?? []) this.#hand(workerId, give);
  }

  /** Calls `give` once with the pending ids, now or later. The returned function removes the listener. */
  listen(workerId: string, give: Give): () => void {
    const listeners = this.#listeners.get(workerId) ?? new Set();
    this.#listeners.set(workerId, listeners.add(give));
    this.#hand(workerId, give);
    return () => void listeners.delete(give);
  }

  #hand(workerId: string, give: Give): void {
    const jobIds = this.#pending.get(workerId);
    if (!jobIds) return;
    this.#listeners.get(workerId)?.delete(give);
    if (give(jobIds)) this.#pending.delete(workerId);
  }
}
