import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { describeError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { Backoff, RETRY_POLICIES } from '../../http/retry.ts';
import type { Answer, PlatformClient } from './platform-client.ts';

export interface StopChannelOptions {
  readonly client: PlatformClient;
  readonly url: string;
  readonly limitMs: number;
  readonly log: Logger;
  readonly clock: Clock;
  /** Ends the channel. */
  readonly signal: AbortSignal;
}

/**
 * Asks the platform, again and again, which jobs to stop. Ids are handed on as soon as they come; polls that bring none
 * begin at least a second apart.
 */
export async function* watchStops(options: StopChannelOptions): AsyncGenerator<readonly string[]> {
  const { clock, signal } = options;
  const backoff = new Backoff(RETRY_POLICIES.stopsFailed);
  while (!signal.aborted) {
    const began = clock.now();
    const { jobIds, pauseMs } = await pollStops(options, backoff);
    if (jobIds.length > 0) yield jobIds;
    const spentMs = Math.max(0, clock.now() - began); // a clock that was set back says less than nothing
    await clock.sleep(Math.max(0, pauseMs - spentMs), signal);
  }
}

interface Polled {
  readonly jobIds: readonly string[];
  /** Least time from the beginning of this poll to that of the next. */
  readonly pauseMs: number;
}

const none = (pauseMs: number): Polled => ({ jobIds: [], pauseMs });

async function pollStops(options: StopChannelOptions, backoff: Backoff): Promise<Polled> {
  const { client, url, limitMs, signal, log } = options;
  try {
    const answer = await client.poll(url, { signal, limitMs });
    if (answer && answer.status >= 400) return refused(answer, options, backoff);
    backoff.reset();
    const jobIds = answer ? readJobIds(answer.text) : [];
    return { jobIds, pauseMs: jobIds.length > 0 ? BUSY_POLL_MS : IDLE_POLL_MS };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const pauseMs = backoff.next();
    log.debug({ reason: describeError(error), pauseMs }, 'Asking which jobs to stop failed');
    return none(pauseMs);
  }
}

/** 400 comes while FlashBoot pauses or resumes the worker, and says nothing. */
function refused({ status, retryAfterMs }: Answer, { log }: StopChannelOptions, backoff: Backoff) {
  if (status === 400) return none(IDLE_POLL_MS);
  if (status === 429) return none(retryAfterMs ?? 5000);
  const pauseMs = backoff.next();
  log.debug({ status, pauseMs }, 'The platform refused to say which jobs to stop');
  return none(pauseMs);
}

const IDLE_POLL_MS = 1000;
/** A floor for a platform that repeats the same ids in every answer. */
const BUSY_POLL_MS = 100;

const StopsSchema = z.object({ jobsToStop: z.array(z.unknown()) });

/** Anything unexpected counts as "none". */
function readJobIds(text: string): string[] {
  const body = StopsSchema.safeParse(maybeJson(text));
  if (!body.success) return [];
  return body.data.jobsToStop.filter((jobId) => typeof jobId === 'string');
}

function maybeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
