import type { Clock } from '../clock.ts';

/** Waits until `promise` settles, but at most `ms`. False when the time was over first; an error counts as settled. */
export function settlesWithin(
  promise: Promise<unknown>,
  { ms, clock }: { readonly ms: number; readonly clock: Clock },
): Promise<boolean> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, () => resolve(false));
    const settled = () => {
      cancel();
      resolve(true);
    };
    promise.then(settled, settled);
  });
}

/** Sleeps, unless `signal` aborts. False when it did. */
export async function pause(
  ms: number,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<boolean> {
  if (signal.aborted) return false;
  if (ms <= 0) return true;
  return clock.sleep(ms, signal).then(
    () => true,
    () => false,
  );
}
