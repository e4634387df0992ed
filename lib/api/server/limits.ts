import type { FastifyInstance, FastifyRequest } from 'fastify';
import { WorkerError } from '../../errors.ts';

/** RunPod's limits by operation: requests in ten seconds, and at once. */
const LIMITS = {
  run: { requests: 1000, concurrent: 200 },
  runsync: { requests: 2000, concurrent: 400 },
  status: { requests: 2000, concurrent: 400 },
  cancel: { requests: 100, concurrent: 20 },
  'purge-queue': { requests: 2, concurrent: Infinity },
  requests: { requests: 10, concurrent: 2 },
} as const;

type LimitedOperation = keyof typeof LIMITS;

declare module 'fastify' {
  interface FastifyContextConfig {
    readonly operation?: LimitedOperation;
  }
}

/** Makes the operations of later routes keep to RunPod's limits, which count for the endpoint, whoever asks. */
export async function keepToLimits(app: FastifyInstance): Promise<void> {
  const { default: rateLimit } = await import('@fastify/rate-limit');
  await app.register(rateLimit, {
    hook: 'preParsing',
    timeWindow: WINDOW_MS,
    keyGenerator: (request) => operationOf(request) ?? 'none',
    max: (request) => LIMITS[operationOf(request) ?? 'status'].requests,
    allowList: (request) => operationOf(request) === undefined,
    errorResponseBuilder: (request, { ttl }) =>
      tooMany(
        `more than ${LIMITS[operationOf(request) ?? 'status'].requests} requests in 10 s`,
        ttl,
      ),
  });
  limitConcurrency(app);
}

function limitConcurrency(app: FastifyInstance): void {
  const running = new Map<LimitedOperation, number>();
  app.addHook('preParsing', async (request, reply) => {
    const operation = operationOf(request);
    if (operation === undefined || reply.raw.destroyed) return; // nobody is there any more, and nothing would end the count
    const count = running.get(operation) ?? 0;
    const { concurrent } = LIMITS[operation];
    if (count >= concurrent) throw tooMany(`more than ${concurrent} requests at once`, 1000);
    running.set(operation, count + 1);
    reply.raw.once('close', () => running.set(operation, (running.get(operation) ?? 1) - 1));
    await Promise.resolve();
  });
}

const operationOf = (request: FastifyRequest): LimitedOperation | undefined =>
  request.routeOptions.config.operation;

function tooMany(what: string, retryAfterMs: number): WorkerError {
  return new WorkerError('api.rate_limited', `There were ${what}; wait and try again`, {
    retryAfterMs,
  });
}

const WINDOW_MS = 10_000;
