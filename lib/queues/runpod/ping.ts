import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { expandUrl, withQuery } from './url-template.ts';

/** Where pings go. A platform that wants none leaves something out. */
export interface PingTarget {
  /** The URL template of the platform; `PING_NOT_SET` means none. */
  readonly url: string | undefined;
  readonly apiKey: string | undefined;
  /** As the platform set it; a made-up id would vouch for a worker nobody knows. */
  readonly podId: string | undefined;
  readonly gpuTypeId?: string | undefined;
  /** Sent as `runpod_version`. */
  readonly version: string;
}

/** A target that has everything, with the ids in its URL. */
export interface ReadyPingTarget {
  readonly url: string;
  readonly apiKey: string;
  readonly version: string;
}

/** The target made ready, or the name of the variable that is missing or wrong. */
export function preparePing(target: PingTarget): ReadyPingTarget | { readonly missing: string } {
  const { url, apiKey, podId, gpuTypeId, version } = target;
  if (!url || url === 'PING_NOT_SET') return { missing: 'RUNPOD_WEBHOOK_PING' };
  if (!apiKey) return { missing: 'RUNPOD_AI_API_KEY' };
  if (!podId) return { missing: 'RUNPOD_POD_ID' };
  const expanded = expandUrl(url, { podId, gpuTypeId });
  if (!/^https?:/.test(expanded) || !URL.canParse(expanded))
    return { missing: 'RUNPOD_WEBHOOK_PING' };
  return { url: expanded, apiKey, version };
}

/**
 * One ping; resolves to the status of the answer. Node's own client, because a thread that has to load nothing starts
 * soonest; and a connection for each ping, because one kept open is dead after a frozen worker has been thawed.
 */
export function sendPing(
  { url, apiKey, version }: ReadyPingTarget,
  parameters: Readonly<Record<string, string>>,
  timeoutMs: number,
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const send = url.startsWith('https:') ? httpsRequest : httpRequest;
  const request = send(withQuery(url, { ...parameters, runpod_version: version }), {
    headers: { authorization: apiKey },
    agent: false,
    signal: AbortSignal.timeout(timeoutMs),
  });
  request.on('response', (response) => {
    response.on('error', reject).resume();
    resolve(response.statusCode ?? 0);
  });
  request.on('error', reject).end();
  return promise;
}

/**
 * Tells the platform, once and briefly, that this worker is not fit for work. Never fails: whoever calls is about to
 * give up anyway.
 * @returns whether the platform has heard it.
 */
export async function reportUnhealthy(
  target: PingTarget,
  { check, reason }: { readonly check: string; readonly reason: string },
): Promise<boolean> {
  const ready = preparePing(target);
  if ('missing' in ready) return false;
  const parameters = { status: 'unhealthy', check, reason: reason.slice(0, REASON_LENGTH) };
  return sendPing(ready, parameters, UNHEALTHY_TIMEOUT_MS).then(
    (status) => status < 400,
    () => false,
  );
}

const REASON_LENGTH = 256;
const UNHEALTHY_TIMEOUT_MS = 2000;
