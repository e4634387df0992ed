import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { goneSignal, sendJson } from '../server/answers.ts';
import { hold, STREAM_HOLD_MS, waitMs } from './hold.ts';
import type { Wanted } from '../jobs/job-stream.ts';
import { jobView, stateView } from './job-view.ts';
import { arrayOf, objectOf, textOf } from '../server/json-object.ts';
import { answerWhenOver, type RouteParts } from './route-parts.ts';
import { maybeTtl } from './run-request.ts';
import { errors, JobIdSchema, JobSchema, JobStateSchema } from './schemas.ts';
import { StreamSchema, WaitSchema } from './schemas.ts';

/** Go's client asks with POST, all others with GET. */
const ASKING = ['GET', 'POST'] as const;

const flag = z.enum(['true', 'false']).optional();

/** What becomes of a job. */
export function addJobRoutes(plain: FastifyInstance, parts: RouteParts): void {
  addAsking(plain, parts);
  addStream(plain, parts);
  addChanging(plain, parts);
}

function addAsking(plain: FastifyInstance, parts: RouteParts): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  const { store, clock } = parts;

  app.route({
    method: [...ASKING],
    url: '/status/:jobId',
    config: { operation: 'status' },
    schema: {
      summary: 'The job as it is now',
      params: JobIdSchema,
      querystring: z.object({
        ttl: z.string().optional().describe('Milliseconds the job has to live from now on'),
      }),
      response: { 200: JobSchema, ...errors(404) },
    },
    handler: ({ params: { jobId }, query }, reply) => {
      const ttlMs = maybeTtl(query.ttl);
      if (ttlMs !== undefined) store.setTtl(jobId, ttlMs);
      sendJson(reply, jobView(store.get(jobId), clock.now()));
    },
  });

  app.route({
    method: [...ASKING],
    url: '/status-sync/:jobId',
    config: { operation: 'status' },
    schema: {
      summary: 'The job when it has ended, or when the wait is over',
      params: JobIdSchema,
      querystring: WaitSchema,
      response: { 200: JobSchema, ...errors(404) },
    },
    handler: async ({ params, query }, reply) => {
      const job = store.get(params.jobId);
      return answerWhenOver(reply, parts, { job, ms: waitMs(query.wait) });
    },
  });
}

function addStream(plain: FastifyInstance, { store, clock }: RouteParts): void {
  plain.withTypeProvider<ZodTypeProvider>().route({
    method: [...ASKING],
    url: '/stream/:jobId',
    exposeHeadRoute: false, // it would take what it does not give
    config: { operation: 'status' },
    schema: {
      summary: 'What the job has to tell since the last request',
      description:
        'Held until there is something, or the job has ended; eight seconds when no wait is given. The values of a streaming handler come by themselves, progress and previews only when they are asked for. A state of the end comes with the last of them.',
      params: JobIdSchema,
      querystring: WaitSchema.extend({
        progress: flag.describe('Also the latest progress'),
        previews: flag.describe('Also the latest progress, and the latest picture as a data URI'),
      }),
      response: { 200: StreamSchema, ...errors(404) },
    },
    handler: async ({ params: { jobId }, query }, reply) => {
      const job = store.get(jobId);
      const wanted = wantedOf(query);
      const until = () =>
        job.isOver || job.hasStream(wanted) || store.isClosed || !store.has(jobId);
      const gone = goneSignal(reply);
      const ms = waitMs(query.wait, STREAM_HOLD_MS);
      await hold(until, { changed: job.changed, ms, clock, gone });
      if (gone.aborted) return reply; // what nobody reads is kept for the next request
      if (!store.isClosed) store.get(jobId);
      const stream = arrayOf(job.takeStream(wanted));
      sendJson(reply, objectOf({ status: textOf(job.status), stream }));
      return reply;
    },
  });
}

function addChanging(plain: FastifyInstance, { store, clock }: RouteParts): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();

  app.route({
    method: 'POST',
    url: '/cancel/:jobId',
    config: { operation: 'cancel' },
    schema: {
      summary: 'Stop the job, wherever it is; one that has ended stays as it is',
      params: JobIdSchema,
      response: { 200: JobStateSchema, ...errors(404) },
    },
    handler: ({ params }, reply) => {
      sendJson(reply, stateView(store.cancel(params.jobId), clock.now()));
    },
  });

  app.route({
    method: 'POST',
    url: '/retry/:jobId',
    schema: {
      summary: 'Queue a job that FAILED or TIMED_OUT once more, under its id',
      params: JobIdSchema,
      response: { 200: JobStateSchema, ...errors(400, 404, 429, 503) },
    },
    handler: ({ params }, reply) => {
      sendJson(reply, stateView(store.retry(params.jobId), clock.now()));
    },
  });
}

function wantedOf(query: { previews?: string | undefined; progress?: string | undefined }): Wanted {
  const previews = query.previews === 'true';
  return { previews, progress: previews || query.progress === 'true' };
}
