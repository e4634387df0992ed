import type { Cancel, Clock } from '../../clock.ts';
import { WorkerError } from '../../errors.ts';

interface Bound {
  readonly ms: number;
  /** What is not finished when the time is up, for the message. */
  readonly what: string;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Gives `work` a signal that is aborted when the time is up, or when the caller's is.
 * @throws WorkerError `comfy.request_failed` when the time was up first.
 */
export async function within<T>(
  { ms, what, clock, signal }: Bound,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const bound = new AbortController();
  let timeIsUp: DOMException | undefined;
  const giveUp = () => bound.abort(signal?.reason);
  signal?.addEventListener('abort', giveUp);
  const cancel = clock.after(ms, () => {
    timeIsUp = new DOMException(`${what} was not finished within ${ms} ms`, 'TimeoutError');
    bound.abort(timeIsUp);
  });
  try {
    return await work(bound.signal);
  } catch (error) {
    if (!timeIsUp || bound.signal.reason !== timeIsUp) throw error;
    throw new WorkerError('comfy.request_failed', timeIsUp.message, { cause: timeIsUp });
  } finally {
    cancel();
    signal?.removeEventListener('abort', giveUp);
  }
}

/**
 * Gives `work` a signal that is aborted only `ms` after the caller's: for a request that is under way and whose effect
 * must be known before it can be undone.
 */
export async function patiently<T>(
  {
    ms,
    clock,
    signal,
  }: { readonly ms: number; readonly clock: Clock; readonly signal: AbortSignal },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  let cancel: Cancel | undefined;
  const wait = () => {
    cancel = clock.after(ms, () => late.abort(signal.reason));
  };
  signal.addEventListener('abort', wait);
  try {
    return await work(late.signal);
  } finally {
    cancel?.();
    signal.removeEventListener('abort', wait);
  }
}
