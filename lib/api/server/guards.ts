import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { WorkerError } from '../../errors.ts';
import { isLoopback } from '../../http/public-address.ts';
import type { ApiSettings } from './settings.ts';

type GuardSettings = Pick<ApiSettings, 'host' | 'key' | 'corsOrigins'>;

/** Routes marked so are open to everybody: what they show holds no secret, and a browser opens them without a key. */
declare module 'fastify' {
  interface FastifyContextConfig {
    readonly isPublic?: boolean;
  }
}

/**
 * Who may call. With a key, whoever knows it. Without one, everybody who reaches this machine, but not the web pages they
 * happen to look at: any page may send a request to 127.0.0.1, and can give itself a name that resolves to it.
 * @throws WorkerError `api.unauthorized`, `api.forbidden`
 */
export function guard(request: FastifyRequest, settings: GuardSettings): void {
  if (settings.key === undefined) refuseStrangers(request, settings);
  else if (!request.routeOptions.config.isPublic) demandKey(request, settings.key);
}

/** RunPod's documentation shows the key with and without `Bearer`. */
function demandKey({ headers }: FastifyRequest, key: string): void {
  const sent = (headers.authorization ?? '').replace(/^Bearer\s+/i, '').trim();
  if (isSame(sent, key)) return;
  const why = sent === '' ? 'has no API key' : 'has a wrong API key';
  throw new WorkerError(
    'api.unauthorized',
    `The request ${why}; send the header "Authorization: Bearer <API_KEY of this worker>"`,
  );
}

/** Takes as long for every guess: digests are compared, which all have the same length. */
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

/** Browsers leave the origin out of plain requests, but say where they come from; following a link is allowed. */
function isCrossSite(headers: FastifyRequest['headers']): boolean {
  return headers['sec-fetch-site'] === 'cross-site' && headers['sec-fetch-mode'] !== 'navigate';
}

function hostnameOf(host: string): string {
  return URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : '';
}

const WAY_OUT = 'set API_KEY to be reached by other names';
const CORS = 'name the origin in API_CORS_ORIGIN to allow it';
