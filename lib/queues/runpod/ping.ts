import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { USER_AGENT } from '../../version.ts';
import { expandUrl, withQuery } from './wire.ts';

/** Where pings go, as the environment says. The platform leaves something out when it wants no pings. */
export interface PingSettings {
  /** URL template of the platform; `PING_NOT_SET` means none. */
  readonly url: string | undefined;
  readonly apiKey: string | undefined;
  /** Set by the platform. An invented id would report a worker that nobody knows. */
  readonly podId: string | undefined;
  readonly gpuTypeId?: string | undefined;
  /** Sent as `runpod_version`. */
  readonly version: string;
}

/** Complete settings, with the ids in the URL. */
export interface PingTarget {
  readonly url: string;
  readonly apiKey: string;
  readonly version: string;
}

/** The target of pings, or the name of the variable that is missing or wrong. */
export function toPingTarget(settings: PingSettings): PingTarget | { readonly missing: string } {
  const { url, apiKey, podId, gpuTypeId, version } = settings;
  if (!url || url === 'PING_NOT_SET') return { missing: 'RUNPOD_WEBHOOK_PING' };
  if (!apiKey) return { missing: 'RUNPOD_AI_API_KEY' };
  if (!podId) return { missing: 'RUNPOD_POD_ID' };
  const expanded = expandUrl(url, { podId, gpuTypeId });
  if (!/^https?:/.test(expanded) || !URL.canParse(expanded))
    return { missing: 'RUNPOD_WEBHOOK_PING' };
  return { url: expanded, apiKey, version };
}

/**
 * Sends one ping; resolves to the status of the answer. Uses Node's own client, which loads fastest in the heartbeat's
 * thread, and a new connection each time: one kept open is dead after a frozen worker has been thawed.
 */
export function sendPing(
  { url, apiKey, version }: PingTarget,
  parameters: Readonly<Record<string, string>>,
  timeoutMs: number,
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const send = url.startsWith('https:') ? httpsRequest : httpRequest;
  const request = send(withQuery(url, { ...parameters, runpod_version: version }), {
    headers: { authorization: apiKey, 'user-agent': USER_AGENT },
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
 * Tells the platform, within two seconds, that this worker is not fit for work. Never fails, because the caller gives up
 * anyway.
 * @returns whether the platform has accepted the report.
 */
export async function reportUnhealthy(
  settings: PingSettings,
  { check, reason }: { readonly check: string; readonly reason: string },
): Promise<boolean> {
  const target = toPingTarget(settings);
  if ('missing' in target) return false;
  const parameters = { status: 'unhealthy', check, reason: reason.slice(0, MAX_REASON_LENGTH) };
  return sendPing(target, parameters, UNHEALTHY_TIMEOUT_MS).then(
    (status) => status < 400,
    () => false,
  );
}

const MAX_REASON_LENGTH = 256;
const UNHEALTHY_TIMEOUT_MS = 2000;
