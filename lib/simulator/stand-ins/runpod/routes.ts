import { createHash, randomUUID } from 'node:crypto';
import type { RecordedRequest, Reply, Route } from './requests.ts';
import { JsonText } from '../../../json.ts';
import { isTerminal, type Jobs, type SimulatedJob } from './jobs.ts';

type Answer = (platform: Platform, exchange: Exchange) => void | Promise<void>;

/** The routes of workers; their key is sent as it is. */
const WORKER_ROUTES: Partial<Record<Route, Answer>> = {
  'job-take': answerTake,
  'job-take-batch': answerTake,
  'job-stop': answerStop,
  'job-done': answerPost,
  'job-stream': answerPost,
  ping: answerPing,
};

/** The routes of clients; their key may also be a bearer token. */
const CLIENT_ROUTES: Partial<Record<Route, Answer>> = {
  run: answerRun,
  runsync: answerRunSync,
  status: answerStatus,
  'status-sync': answerStatusSync,
  cancel: answerCancel,
  health: answerHealth,
};

/** Answers a request whose key is right; 401 to all others. */
export async function answer(platform: Platform, exchange: Exchange, key: string): Promise<void> {
  const { route, headers } = exchange.request;
  const ofClient = CLIENT_ROUTES[route];
  const allowed =
    headers.authorization === key || (ofClient && headers.authorization === `Bearer ${key}`);
  if (!allowed) return void exchange.reply.json('{"error":"unauthorized"}', 401);
  await (ofClient ?? WORKER_ROUTES[route])?.(platform, exchange);
}

/** Holds the request until there are jobs; 204 when there are none. */
export function answerTake(platform: Platform, { request, reply }: Exchange): void {
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

/** Holds the request until a job of this worker is to be stopped; 204 when there is none. */
export function answerStop(platform: Platform, { request, reply }: Exchange): void {
  const give = (jobIds: readonly string[]) => reply.json(JSON.stringify({ jobsToStop: jobIds }));
  holdFor(platform.stopHoldMs, reply, platform.stops.listen(request.ids[0] ?? '', give));
}

/** Takes a result, progress or chunk, whatever its content type says. */
export function answerPost(platform: Platform, { request, record, reply }: Exchange): void {
  const jobId = request.ids[1] ?? '';
  if (request.route === 'job-stream') platform.jobs.stream(jobId, record);
  else platform.jobs.post(jobId, record, request.body, digestOf(request.bodyText));
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

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}

export function answerPing(_platform: Platform, { reply }: Exchange): void {
  reply.json('{}');
}

/** Queues the job of a request; what the platform does not know at the top of it is left out. */
export function answerRun({ jobs }: Platform, exchange: Exchange): void {
  const jobId = submitted(jobs, exchange, `${randomUUID()}-u1`);
  if (jobId) exchange.reply.json(JSON.stringify({ id: jobId, status: 'IN_QUEUE' }));
}

/** Queues the job and waits for its end, at most `wait` milliseconds. */
export async function answerRunSync({ jobs }: Platform, exchange: Exchange): Promise<void> {
  const jobId = submitted(jobs, exchange, `sync-${randomUUID()}-u1`);
  if (jobId) await answerWhenEnded(jobs, exchange, jobId);
}

export function answerStatus({ jobs }: Platform, { request, reply }: Exchange): void {
  const job = jobs.get(request.ids[0] ?? '');
  if (job) reply.json(JSON.stringify(toView(job)));
  else reply.json('{"error":"job not found"}', 404);
}

export async function answerStatusSync(platform: Platform, exchange: Exchange): Promise<void> {
  const { jobs } = platform;
  const [jobId = ''] = exchange.request.ids;
  if (jobs.get(jobId)) await answerWhenEnded(jobs, exchange, jobId);
  else answerStatus(platform, exchange);
}

export function answerCancel(platform: Platform, exchange: Exchange): void {
  const [jobId = ''] = exchange.request.ids;
  if (platform.jobs.get(jobId)) cancelJob(platform, jobId);
  answerStatus(platform, exchange);
}

/** Jobs are counted as the platform counts them; of workers only those that have taken something are known. */
export function answerHealth({ jobs }: Platform, { reply }: Exchange): void {
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

function submitted(jobs: Jobs, { request, reply }: Exchange, jobId: string): string | undefined {
  const text = toJobText(jobId, request.bodyText);
  if (!text) {
    reply.json('{"error":"the body is not JSON with an input"}', 400);
    return undefined;
  }
  jobs.submit(jobId, text);
  return jobId;
}

/** The job a worker gets: members of the request as they were written. */
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
  const gone = Promise.withResolvers<'gone'>();
  const timer = setTimeout(() => gone.resolve('gone'), waitOf(exchange.request.query.wait));
  exchange.reply.onClose(() => gone.resolve('gone'));
  await Promise.race([jobs.ended(jobId), gone.promise]);
  clearTimeout(timer);
  const job = jobs.get(jobId);
  if (job) exchange.reply.json(JSON.stringify(toView(job)));
}

function waitOf(wait: string | undefined): number {
  const ms = Number(wait ?? Number.NaN);
  return Number.isNaN(ms) ? 90_000 : Math.min(Math.max(ms, 1000), 300_000);
}

function toView(job: SimulatedJob): Record<string, unknown> {
  const { jobId, status, submittedAt, assignedAt, doneAt, workerId, output, error } = job;
  const started = assignedAt === undefined ? {} : { delayTime: wholeMs(assignedAt - submittedAt) };
  const ended =
    assignedAt === undefined || doneAt === undefined || !isTerminal(status)
      ? {}
      : { executionTime: wholeMs(doneAt - assignedAt) };
  return { id: jobId, status, ...started, ...ended, workerId, output, error };
}

function wholeMs(ms: number): number {
  return Math.max(0, Math.round(ms));
}

const PASSED_ON = ['input', 'webhook', 's3Config', 'policy'] as const;

/** What the routes work on. */
export interface Platform {
  readonly jobs: Jobs;
  readonly stops: Stops;
  /** How long polls are held before 204, in milliseconds. */
  readonly takeHoldMs: number;
  readonly stopHoldMs: number;
}

/** A request as it came in, as it is remembered, and its answer. */
export interface Exchange {
  readonly request: RecordedRequest;
  readonly record: RecordedRequest;
  readonly reply: Reply;
}

/** Cancels a job; the worker that has it, if any, is told when it asks. */
export function cancelJob({ jobs, stops }: Platform, jobId: string): void {
  const workerId = jobs.cancel(jobId);
  if (workerId !== undefined) stops.add(workerId, jobId);
}

type Give = (jobIds: readonly string[]) => boolean;

/** Ids of jobs to stop, by worker, kept until the worker asks. */
export class Stops {
  readonly #pending = new Map<string, string[]>();
  readonly #listeners = new Map<string, Set<Give>>();

  add(workerId: string, jobId: string): void {
    this.#pending.set(workerId, [...(this.#pending.get(workerId) ?? []), jobId]);
    for (const give of this.#listeners.get(workerId) ?? []) this.#hand(workerId, give);
  }

  /** Hands over what is pending, now or later, once; the returned function stops listening. */
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
