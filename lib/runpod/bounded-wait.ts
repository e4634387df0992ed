import type { Clock } from '../clock.ts';

/** Waits until `promise` settles, but at most `ms`. False when the time was over first; an error counts as settled. */
export async function settlesWithin(
  promise: Promise<unknown>,
  { ms, clock }: { ms: number; clock: Clock },
): Promise<boolean> {
  const settled = promise.then(
    () => true,
    () => true,
  );
  const early = new AbortController();
  const late = pause(ms, { clock, signal: early.signal }).then(() => false);
  try {
    return await Promise.race([settled, late]);
  } finally {
    early.abort();
  }
}

/** Sleeps, unless `signal` aborts. False when it did. */
export async function pause(
  ms: number,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<boolean> {
  if (signal.aborted) return false;
  if (ms <= 0) return true;
  return clock.sleep(ms, signal).then(
    () => true,
    () => false,
  );
}
