import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { describeError } from '../../errors.ts';
import { Backoff, RETRY_POLICIES } from '../../http/retry.ts';
import type { Logger } from '../../log.ts';
import type { RunpodClient } from './runpod-client.ts';

export interface StopChannelOptions {
  readonly client: RunpodClient;
  readonly url: string;
  /** How long one poll may stay open. */
  readonly limitMs: number;
  readonly log: Logger;
  readonly clock: Clock;
  /** Ends the channel. */
  readonly signal: AbortSignal;
}

/**
 * Polls for the ids of jobs to stop and yields them as they arrive, until `signal` aborts. A failed poll is repeated after a
 * growing delay.
 */
export async function* watchStops(options: StopChannelOptions): AsyncGenerator<readonly string[]> {
  const { clock, signal } = options;
  const backoff = new Backoff(RETRY_POLICIES.stopsFailed);
  while (!signal.aborted) {
    const startedAt = clock.now();
    const { jobIds, intervalMs } = await pollStops(options, backoff);
    if (jobIds.length > 0) yield jobIds;
    const spentMs = clock.now() - startedAt;
    await clock.sleep(Math.max(0, intervalMs - spentMs), signal);
  }
}

/** `intervalMs` is the shortest time from the start of this poll to the start of the next. */
async function pollStops(
  { client, url, limitMs, signal, log }: StopChannelOptions,
  backoff: Backoff,
): Promise<{ readonly jobIds: readonly string[]; readonly intervalMs: number }> {
  const none = (intervalMs: number) => ({ jobIds: [], intervalMs });
  try {
    const answer = await client.poll(url, { signal, limitMs });
    // 400 is answered while FlashBoot pauses or resumes the worker.
    if (answer?.status === 400) return none(IDLE_INTERVAL_MS);
    if (answer?.status === 429) return none(answer.retryAfterMs ?? 5000);
    if (answer && answer.status >= 400) {
      const intervalMs = backoff.next();
      log.debug(
        { status: answer.status, delayMs: intervalMs },
        'The platform refused to say which jobs to stop',
      );
      return none(intervalMs);
    }
    backoff.reset();
    const jobIds = answer ? readJobIds(answer.body.toString()) : [];
    return { jobIds, intervalMs: jobIds.length > 0 ? BUSY_INTERVAL_MS : IDLE_INTERVAL_MS };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const intervalMs = backoff.next();
    const reason = describeError(error);
    log.debug({ reason, delayMs: intervalMs }, 'Asking which jobs to stop failed');
    return none(intervalMs);
  }
}

const IDLE_INTERVAL_MS = 1000;
/** For a platform that repeats the same ids in every answer. */
const BUSY_INTERVAL_MS = 100;

const StopsSchema = z.object({ jobsToStop: z.array(z.unknown()) });

/** An answer of any other shape has no ids. */
function readJobIds(text: string): string[] {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return [];
  }
  const stops = StopsSchema.safeParse(body);
  if (!stops.success) return [];
  return stops.data.jobsToStop.filter((jobId) => typeof jobId === 'string');
}
