import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { WorkerError } from '../../errors.ts';
import { isLoopback } from '../../http/public-address.ts';
import type { ApiSettings } from './settings.ts';

type GuardSettings = Pick<ApiSettings, 'host' | 'key' | 'corsOrigins'>;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Open without a key: the route shows no secrets, and browsers open it without a header. */
    readonly isPublic?: boolean;
    /** The operation whose rate limits count; absent for routes without limits. */
    readonly operation?: LimitedOperation;
  }
}

/**
 * Checks who may call. With an API key, requests must carry it. Without one, everybody on this machine may call, but foreign web
 * pages may not: a page in the browser can send requests to 127.0.0.1, and its own host name may resolve to that address.
 * @throws WorkerError `api.unauthorized`, `api.forbidden`
 */
export function guard(request: FastifyRequest, settings: GuardSettings): void {
  if (settings.key === undefined) refuseStrangers(request, settings);
  else if (!request.routeOptions.config.isPublic) demandKey(request, settings.key);
}

/** `Bearer` is optional: RunPod's documentation shows the key with and without it. */
function demandKey({ headers }: FastifyRequest, key: string): void {
  const sent = (headers.authorization ?? '').replace(/^Bearer\s+/i, '').trim();
  if (isSame(sent, key)) return;
  const why = sent === '' ? 'has no API key' : 'has a wrong API key';
  throw new WorkerError(
    'api.unauthorized',
    `The request ${why}; send the header "Authorization: Bearer <API_KEY of this worker>"`,
  );
}

/** Compares digests, so that the time does not depend on how much of a guess is right. */
function isSame(sent: string, key: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(sent), digest(key));
}

function refuseStrangers({ headers }: FastifyRequest, settings: GuardSettings): void {
  const { host = '', origin } = headers;
  if (isLoopback(settings.host) && !isLoopback(hostnameOf(host))) {
    throw new WorkerError('api.forbidden', `${host} is not a name of this machine; ${WAY_OUT}`);
  }
  if (origin === undefined ? isCrossSite(headers) : !isKnownOrigin(origin, host, settings)) {
    throw new WorkerError('api.forbidden', `Pages of ${origin ?? 'others'} may not call; ${CORS}`);
  }
}

function isKnownOrigin(origin: string, host: string, { corsOrigins }: GuardSettings): boolean {
  if (corsOrigins.includes('*') || corsOrigins.includes(origin)) return true;
  return URL.canParse(origin) && new URL(origin).host === host;
}

/** Simple requests of a browser have no origin, but `sec-fetch-site`. Following a link is allowed. */
function isCrossSite(headers: FastifyRequest['headers']): boolean {
  return headers['sec-fetch-site'] === 'cross-site' && headers['sec-fetch-mode'] !== 'navigate';
}

/** Empty for a header that has more than a host and a port: a user, a path. */
function hostnameOf(host: string): string {
  if (!/^[\w.:[\]-]+$/.test(host)) return '';
  return URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : '';
}

/** RunPod's limits by operation: requests in ten seconds, and requests at the same time. */
const LIMITS = {
  run: { requests: 1000, concurrent: 200 },
  runsync: { requests: 2000, concurrent: 400 },
  status: { requests: 2000, concurrent: 400 },
  cancel: { requests: 100, concurrent: 20 },
  'purge-queue': { requests: 2, concurrent: Infinity },
  requests: { requests: 10, concurrent: 2 },
} as const;

type LimitedOperation = keyof typeof LIMITS;

/** Enforces RunPod's limits on routes that are added later. They count for the whole endpoint, not for each client. */
export async function limitRates(app: FastifyInstance): Promise<void> {
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
    if (operation === undefined || reply.raw.destroyed) return; // without a close event the count would never go down
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

const WAY_OUT = 'set API_KEY to be reached by other names';
const CORS = 'name the origin in API_CORS_ORIGIN to allow it';
const WINDOW_MS = 10_000;
