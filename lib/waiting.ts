import type { Clock } from './clock.ts';

/** Wakes all waiters at once. A notification carries no data: each waiter checks its condition again. */
export class Notifier {
  #next = Promise.withResolvers<undefined>();

  notify(): void {
    const { resolve } = this.#next;
    this.#next = Promise.withResolvers();
    resolve(undefined);
  }

  /** Resolves at the next notification. */
  notified(): Promise<undefined> {
    return this.#next.promise;
  }
}

/** Waits until `promise` settles, at most `ms`. False on timeout; a rejection counts as settled. */
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

/** Sleeps for `ms`. False when `signal` aborted first. */
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
