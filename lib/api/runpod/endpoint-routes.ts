import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { sendJson } from '../server/answers.ts';
import { stateView } from './job-view.ts';
import { arrayOf, objectOf } from '../server/json-object.ts';
import type { RouteParts } from './route-parts.ts';
import { errors, HealthSchema, PurgedSchema, RequestsSchema } from './schemas.ts';

/** What concerns all jobs. */
export function addOverviewRoutes(
  plain: FastifyInstance,
  { store, clock, health }: RouteParts,
): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();

  app.route({
    method: 'POST',
    url: '/purge-queue',
    config: { operation: 'purge-queue' },
    schema: {
      summary: 'Remove all jobs that nobody has begun',
      response: { 200: PurgedSchema, ...errors() },
    },
    handler: () => ({ removed: store.purge(), status: 'completed' as const }),
  });

  app.route({
    method: 'GET',
    url: '/health',
    config: { isUrgent: true },
    schema: {
      summary: 'How many jobs and workers there are, by what they do',
      response: { 200: HealthSchema, ...errors() },
    },
    handler: () => health(),
  });

  app.route({
    method: 'GET',
    url: '/requests',
    config: { operation: 'requests' },
    schema: {
      summary: 'The latest hundred jobs, newest first, without their outputs',
      response: { 200: RequestsSchema, ...errors() },
    },
    handler: (_request, reply) => {
      const latest = store.list().slice(-LISTED).reverse();
      const views = latest.map((job) => stateView(job, clock.now()));
      sendJson(reply, objectOf({ requests: arrayOf(views) }));
    },
  });
}

const LISTED = 100;
