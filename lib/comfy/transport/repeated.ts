import { systemClock } from '../../clock.ts';
import { retry, RETRY_POLICIES } from '../../http/retry.ts';
import { isBrokenConnection } from './request-error.ts';

/** For requests that may be sent twice without harm: retried quickly when the connection breaks under them. */
export function repeated<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return retry(work, {
    policy: RETRY_POLICIES.comfyReconnect,
    clock: systemClock,
    signal,
    isTransient: isBrokenConnection,
  });
}
