import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { jsonArray, jsonObject, sendJson } from '../server/answers.ts';
import { addJobRoutes } from './job-routes.ts';
import { stateView } from './job-view.ts';
import { addRunRoutes, type RunpodContext } from './run-routes.ts';
import { errors, HealthSchema, PurgedSchema, RequestsSchema, type Health } from './schemas.ts';

/** All routes of RunPod's API, as under `https://api.runpod.ai/v2/{endpoint}`. */
export function addRunpodRoutes(app: FastifyInstance, context: RunpodContext): void {
  addRunRoutes(app, context);
  addJobRoutes(app, context);
  addEndpointRoutes(app, context);
}

/** The routes about all jobs. */
function addEndpointRoutes(plain: FastifyInstance, context: RunpodContext): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  const { store, clock } = context;

  app.route({
    method: 'POST',
    url: '/purge-queue',
    config: { operation: 'purge-queue' },
    schema: {
      summary: 'Cancel all jobs that have not started',
      response: { 200: PurgedSchema, ...errors() },
    },
    handler: async () => ({ removed: await store.purge(), status: 'completed' as const }),
  });

  app.route({
    method: 'GET',
    url: '/health',
    config: { isUrgent: true },
    schema: {
      summary: 'How many jobs and workers there are, by what they do',
      response: { 200: HealthSchema, ...errors() },
    },
    handler: () => readHealth(context),
  });

  app.route({
    method: 'GET',
    url: '/requests',
    config: { operation: 'requests' },
    schema: {
      summary: 'The latest hundred jobs, newest first, without their outputs',
      response: { 200: RequestsSchema, ...errors() },
    },
    handler: async (_request, reply) => {
      const jobs = await store.latest(MAX_LISTED);
      const requests = jsonArray(jobs.map((job) => stateView(job, clock.now())));
      return sendJson(reply, jsonObject({ requests }));
    },
  });
}

/** RunPod counts workers; the one worker here counts once for each job it can run at the same time. */
async function readHealth({ store, comfy, worker: { slots } }: RunpodContext): Promise<Health> {
  const isUp = await comfy.isUp();
  const counts = await store.counts();
  const running = Math.min(counts.running, slots);
  const idle = isUp ? slots - running : 0;
  return {
    jobs: {
      completed: counts.completed,
      failed: counts.failed + counts.timed_out,
      inProgress: counts.running,
      inQueue: counts.queued,
      retried: counts.retried,
    },
    workers: {
      idle,
      initializing: isUp ? 0 : slots - running,
      ready: idle,
      running,
      throttled: 0,
      unhealthy: 0,
    },
  };
}

const MAX_LISTED = 100;
