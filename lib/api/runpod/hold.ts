import type { Clock } from '../../clock.ts';
import type { Notifier } from '../../waiting.ts';
import { settlesWithin } from '../../waiting.ts';

export interface HoldOptions {
  /** Rings when `until` may have changed. */
  readonly changed: Notifier;
  readonly ms: number;
  readonly clock: Clock;
  /** Whoever waits has gone. */
  readonly gone: AbortSignal;
}

/** Holds a request until there is something to tell, the time is over, or nobody listens any more. */
export async function hold(
  until: () => boolean,
  { changed, ms, clock, gone }: HoldOptions,
): Promise<void> {
  const endsAt = clock.now() + ms;
  const left = Promise.withResolvers<undefined>();
  const leave = () => left.resolve(undefined);
  gone.addEventListener('abort', leave, { once: true });
  while (!until() && !gone.aborted && clock.now() < endsAt) {
    const news = Promise.race([changed.notified(), left.promise]);
    await settlesWithin(news, { ms: endsAt - clock.now(), clock });
  }
  gone.removeEventListener('abort', leave);
}

/**
 * How long a client wants to wait, in milliseconds. RunPod takes 1000 to 300000 and 90000 when nothing is said; nonsense
 * counts as nothing. HTTP clients give up after five minutes without an answer, so the longest wait ends a little earlier.
 */
export function waitMs(text: string | undefined, whenAbsent = DEFAULT_MS): number {
  const asked = Number.parseFloat(text ?? '');
  if (Number.isNaN(asked)) return whenAbsent;
  return Math.min(Math.max(asked, LEAST_MS), MOST_MS - CLIENT_MARGIN_MS);
}

/** A stream without `wait` is answered within the ten seconds the Python client waits. */
export const STREAM_HOLD_MS = 8000;
const DEFAULT_MS = 90_000;
const LEAST_MS = 1000;
const MOST_MS = 300_000;
const CLIENT_MARGIN_MS = 2000;
