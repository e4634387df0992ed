import type { FastifyInstance } from 'fastify';
import type { ComfyWatch } from './api-worker.ts';
import type { JobStore } from '../jobs/job-store.ts';
import type { Metrics } from './metrics.ts';

/** Routes for load balancers and monitoring: `/ping` (this process runs), `/ready` (it can run jobs), `/metrics`. */
export function addOperatorRoutes(
  app: FastifyInstance,
  {
    store,
    comfy,
    metrics,
  }: {
    readonly store: Pick<JobStore, 'isStopping'>;
    readonly comfy: ComfyWatch;
    readonly metrics: Metrics;
  },
): void {
  const config = { isPublic: true, isUrgent: true };

  app.get('/ping', { config, schema: { summary: 'Whether this process lives' } }, () => ({
    status: 'alive',
  }));

  app.get(
    '/ready',
    { config, schema: { summary: 'Whether a job would run: 503 when not' } },
    async (_request, reply) => {
      if (store.isStopping) return reply.code(503).send({ error: 'The worker is being stopped' });
      if (await comfy.isUp()) return { status: 'ready' };
      const { downSince } = comfy;
      return reply
        .code(503)
        .send({ error: 'ComfyUI does not answer', ...(downSince && { downSince }) });
    },
  );

  app.get(
    '/metrics',
    { config: { isUrgent: true }, schema: { summary: 'Numbers for Prometheus' } },
    async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()),
  );
}
