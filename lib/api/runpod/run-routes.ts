import { randomUUID } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Clock } from '../../clock.ts';
import type { JobStore, StoredJob } from '../jobs/job-store.ts';
import { goneSignal, sendJson } from '../server/answers.ts';
import type { ApiWorker, ComfyWatch } from '../server/api-worker.ts';
import { bodyText } from '../server/body.ts';
import type { ApiSettings, RunKind } from '../server/settings.ts';
import { jobView, stateView } from './job-view.ts';
import { checkWebhook, parseRunRequest, RunRequestSchema, waitMs } from './run-request.ts';
import { errors, JobSchema, JobStateSchema, WaitSchema } from './schemas.ts';
import type { Webhooks } from './webhooks.ts';

/** Everything the routes of RunPod's API use. */
export interface RunpodContext {
  readonly store: JobStore;
  readonly webhooks: Webhooks;
  readonly worker: Pick<ApiWorker, 'slots'>;
  readonly comfy: ComfyWatch;
  readonly settings: ApiSettings;
  readonly clock: Clock;
}

/**
 * `/run` and `/runsync`. Success is always exactly 200: npm's `runpod-sdk` accepts no other status.
 */
export function addRunRoutes(plain: FastifyInstance, context: RunpodContext): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  const { store, clock, settings } = context;

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
    handler: async (request, reply) => {
      const job = await submitJob(request, context, { kind: 'run' });
      return sendJson(reply, stateView(job, clock.now()));
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
      const kind = 'runsync';
      const { jobId } = await submitJob(request, context, { kind, keepMs: waitMs(wait, 0) });
      const waiting = { ms: waitMs(wait), signal: goneSignal(reply) };
      const job = await store.watch(jobId, ({ isOver }) => isOver, waiting);
      return sendJson(reply, jobView(job, clock.now()));
    },
  });
}

/** @param keepMs the job is remembered at least this long after its end. */
async function submitJob(
  request: FastifyRequest,
  { store, webhooks, settings, comfy }: RunpodContext,
  { kind, keepMs = 0 }: { readonly kind: RunKind; readonly keepMs?: number },
): Promise<StoredJob> {
  comfy.refuseWhileDown();
  const { input, source, sourceLength, webhook, policy } = parseRunRequest(bodyText(request));
  if (webhook !== undefined) checkWebhook(webhook, settings);
  return store.submit({
    jobId: `${kind === 'runsync' ? 'sync-' : ''}${randomUUID()}-local`,
    input,
    source,
    sourceLength,
    policy: {
      ttlMs: policy.ttlMs,
      executionTimeoutMs: policy.executionTimeoutMs ?? settings.executionTimeoutMs,
      retentionMs: Math.max(settings.retentionMs[kind], keepMs),
    },
    ...(webhook !== undefined && { onEnd: (job) => webhooks.send(webhook, job) }),
  });
}
