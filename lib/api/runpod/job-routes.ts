import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { UpdateKind } from '../jobs/job-store.ts';
import { goneSignal, sendJson } from '../server/answers.ts';
import { jobView, stateView, streamView } from './job-view.ts';
import { maybeTtl, STREAM_WAIT_MS, waitMs } from './run-request.ts';
import type { RunpodContext } from './run-routes.ts';
import {
  errors,
  JobIdSchema,
  JobSchema,
  JobStateSchema,
  StreamSchema,
  WaitSchema,
} from './schemas.ts';

/** RunPod's Go client reads with POST, all others with GET. */
const READING = ['GET', 'POST'] as const;

/** The routes of one job. */
export function addJobRoutes(app: FastifyInstance, context: RunpodContext): void {
  addStatusRoutes(app, context);
  addStreamRoute(app, context);
  addChangeRoutes(app, context);
}

function addStatusRoutes(plain: FastifyInstance, { store, clock }: RunpodContext): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();

  app.route({
    method: [...READING],
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
    handler: async ({ params: { jobId }, query }, reply) => {
      const ttlMs = maybeTtl(query.ttl);
      if (ttlMs !== undefined) await store.setTtl(jobId, ttlMs);
      return sendJson(reply, jobView(await store.get(jobId), clock.now()));
    },
  });

  app.route({
    method: [...READING],
    url: '/status-sync/:jobId',
    config: { operation: 'status' },
    schema: {
      summary: 'The job when it has ended, or when the wait is over',
      params: JobIdSchema,
      querystring: WaitSchema,
      response: { 200: JobSchema, ...errors(404) },
    },
    handler: async ({ params: { jobId }, query }, reply) => {
      const waiting = { ms: waitMs(query.wait), signal: goneSignal(reply) };
      const job = await store.watch(jobId, ({ isOver }) => isOver, waiting);
      return sendJson(reply, jobView(job, clock.now()));
    },
  });
}

function addStreamRoute(plain: FastifyInstance, { store }: RunpodContext): void {
  const flag = z.enum(['true', 'false']).optional();
  plain.withTypeProvider<ZodTypeProvider>().route({
    method: [...READING],
    url: '/stream/:jobId',
    exposeHeadRoute: false, // it would take updates and send none
    config: { operation: 'status' },
    schema: {
      summary: 'Progress and previews of the job since the last request',
      description:
        'Held until there is something new, or the job has ended; eight seconds when no wait is given. Progress and previews are sent only when they are asked for.',
      params: JobIdSchema,
      querystring: WaitSchema.extend({
        progress: flag.describe('Also the latest progress'),
        previews: flag.describe('Also the latest progress, and the latest picture as a data URI'),
      }),
      response: { 200: StreamSchema, ...errors(404) },
    },
    handler: async ({ params: { jobId }, query }, reply) => {
      const kinds = new Set<UpdateKind>();
      if (query.previews === 'true') kinds.add('preview').add('progress');
      if (query.progress === 'true') kinds.add('progress');
      const waiting = { ms: waitMs(query.wait, STREAM_WAIT_MS), signal: goneSignal(reply) };
      const isReady = (job: { isOver: boolean; hasUpdates(of: typeof kinds): boolean }) =>
        job.isOver || job.hasUpdates(kinds);
      const job = await store.watch(jobId, isReady, waiting);
      if (waiting.signal.aborted) return reply; // the updates are kept for the next request
      return sendJson(reply, streamView(job, await store.takeUpdates(jobId, kinds)));
    },
  });
}

function addChangeRoutes(plain: FastifyInstance, { store, comfy, clock }: RunpodContext): void {
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
    handler: async ({ params }, reply) =>
      sendJson(reply, stateView(await store.cancel(params.jobId), clock.now())),
  });

  app.route({
    method: 'POST',
    url: '/retry/:jobId',
    schema: {
      summary: 'Queue a job that FAILED or TIMED_OUT once more, under its id',
      params: JobIdSchema,
      response: { 200: JobStateSchema, ...errors(400, 404, 429, 503) },
    },
    handler: async ({ params }, reply) => {
      comfy.refuseWhileDown();
      return sendJson(reply, stateView(await store.retry(params.jobId), clock.now()));
    },
  });
}
