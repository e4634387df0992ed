import type { Clock } from '../../clock.ts';
import { retryRequest } from './request-failure.ts';

interface HalfOpenOptions {
  /** Asks ComfyUI for a sign of life, over a connection that is not stuck. */
  readonly probe: (signal: AbortSignal) => Promise<void>;
  /** After this long without progress the probe is sent. */
  readonly stallMs: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Sends an idempotent request, with the retries of {@link retryRequest}, and once more when its connection is half-open: the peer
 * is gone, but nobody told this side. No progress alone is no proof, because a ComfyUI at work answers late. So another
 * connection is tried: if ComfyUI answers there, the request is stuck, or takes long for a good reason. The second one may
 * take any time.
 * @param send calls `onProgress` when a part of the request was taken; its signal aborts when it is stuck.
 */
export async function againWhenHalfOpen<T>(
  send: (signal: AbortSignal | undefined, onProgress: () => void) => Promise<T>,
  { probe, stallMs, clock, signal }: HalfOpenOptions,
): Promise<T> {
  const over = new AbortController();
  const stuck = new AbortController();
  let progressAt = clock.now();
  const onProgress = () => void (progressAt = clock.now());
  const watch = async () => {
    while (!stuck.signal.aborted) {
      await clock.sleep(Math.max(progressAt + stallMs - clock.now(), MIN_SLEEP_MS), over.signal);
      if (clock.now() - progressAt < stallMs) continue;
      const isAnswering = await probe(over.signal).then(
        () => true,
        () => false,
      );
      if (isAnswering && clock.now() - progressAt >= stallMs)
        stuck.abort(new Error('its connection is half-open'));
    }
  };
  const watching = watch().catch(() => undefined);
  try {
    const either = signal ? AbortSignal.any([signal, stuck.signal]) : stuck.signal;
    const sendNow = () => {
      onProgress();
      return send(either, onProgress);
    };
    return await retryRequest(sendNow, { clock, signal: either });
  } catch (error) {
    if (!stuck.signal.aborted) throw error;
    signal?.throwIfAborted();
  } finally {
    over.abort();
    await watching;
  }
  return await retryRequest(() => send(signal, () => undefined), { clock, signal });
}

const MIN_SLEEP_MS = 10;
