import { randomUUID } from 'node:crypto';
import { JsonText } from '../../../json.ts';
import { isTerminal, type Jobs, type SimulatedJob } from './jobs.ts';
import { cancelJob, type Exchange, type Platform } from './platform.ts';

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
