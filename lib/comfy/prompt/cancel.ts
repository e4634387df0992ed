import type { Clock } from '../../clock.ts';
import { describeError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { ComfyClient } from '../transport/client.ts';
import { isRefused } from '../transport/request-error.ts';
import type { ComfySettings } from '../local/settings.ts';
import { whereIs } from './where.ts';
import { within } from '../transport/within.ts';

interface Cancelling {
  readonly client: ComfyClient;
  readonly settings: Pick<ComfySettings, 'limits'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Takes a prompt back, so that the next one does not wait behind it. Removes it from the queue first and interrupts it
 * second: in this order it cannot slip from waiting to running between the two. ComfyUI notices an interrupt only between
 * nodes and at progress calls, and can lose one; it is repeated until the prompt is gone or five seconds have passed.
 * Other prompts are never touched. Does not reject.
 */
export async function cancelPrompt(
  promptId: string,
  { client, settings, clock, log }: Cancelling,
): Promise<void> {
  const bound = { ms: settings.limits.cancelMs, what: 'taking the prompt back', clock };
  try {
    await within(bound, async (signal) => {
      for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LAST_PAUSE_MS)) {
        if (await askOnce(promptId, client, signal)) break;
        await clock.sleep(pauseMs, signal);
      }
    });
    log.debug({ promptId }, 'the prompt was taken back');
  } catch (error) {
    log.warn({ promptId, error: describeError(error) }, 'the prompt may still run in ComfyUI');
  }
}

/** Whether the prompt is gone. */
async function askOnce(
  promptId: string,
  client: ComfyClient,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await client.deletePending(promptId, signal);
    const { state } = await whereIs(promptId, { client, signal });
    if (state === 'ended' || state === 'nowhere') return true;
    await client.interrupt(promptId, signal);
  } catch (error) {
    if (signal.aborted || isRefused(error)) throw error;
  }
  return false;
}

const FIRST_PAUSE_MS = 10;
const LAST_PAUSE_MS = 500;
