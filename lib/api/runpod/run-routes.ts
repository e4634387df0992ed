import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { sendJson } from '../server/answers.ts';
import { bodyText } from '../server/body.ts';
import { waitMs } from './hold.ts';
import type { JobRecord } from '../jobs/job-record.ts';
import { stateView } from './job-view.ts';
import { answerWhenOver, type RouteParts } from './route-parts.ts';
import { parseRunRequest, RunRequestSchema } from './run-request.ts';
import { errors, JobSchema, JobStateSchema, WaitSchema } from './schemas.ts';
import type { RunKind } from '../server/settings.ts';
import { checkWebhook } from './webhook-target.ts';

/**
 * How a job gets in. Success is exactly 200, here and everywhere: npm's `runpod-sdk` takes no other status for one.
 */
export function addRunRoutes(plain: FastifyInstance, parts: RouteParts): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  const { clock, settings } = parts;

  app.route({
    method: 'POST',
    url: '/run',
    bodyLimit: settings.maxBytes.run,
    config: { operation: 'run' },
    schema: {
      summary: 'Queue a job, and answer at once',
      body: RunRequestSchema,
      response: { 200: JobStateSchema, ...errors(400, 413, 429, 503) },
    },
    handler: (request, reply) => {
      const job = submit(request, parts, { kind: 'run' });
      sendJson(reply, stateView(job, clock.now()));
    },
  });

  app.route({
    method: 'POST',
    url: '/runsync',
    bodyLimit: settings.maxBytes.runsync,
    config: { operation: 'runsync' },
    schema: {
      summary: 'Queue a job, and answer when it has ended or the wait is over',
      querystring: WaitSchema,
      body: RunRequestSchema,
      response: { 200: JobSchema, ...errors(400, 413, 429, 503) },
    },
    handler: async (request, reply) => {
      const { wait } = request.query;
      const job = submit(request, parts, { kind: 'runsync', keepMs: waitMs(wait, 0) });
      return answerWhenOver(reply, parts, { job, ms: waitMs(wait) });
    },
  });
}

interface Asked {
  readonly kind: RunKind;
  readonly keepMs?: number;
}

function submit(
  request: FastifyRequest,
  { store, settings }: RouteParts,
  { kind, keepMs }: Asked,
): JobRecord {
  const asked = parseRunRequest(bodyText(request));
  if (asked.webhook !== undefined) checkWebhook(asked.webhook, settings);
  return store.submit(asked, kind, keepMs);
}
