import pRetry from 'p-retry';
import { isBrokenConnection } from './request-error.ts';

/** For what may be done twice without harm: when the connection breaks under it, it is tried again, quickly. */
export function repeated<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return pRetry(work, {
    retries: 2,
    minTimeout: 20,
    factor: 5,
    shouldRetry: ({ error }) => isBrokenConnection(error),
    ...(signal ? { signal } : {}),
  });
}
