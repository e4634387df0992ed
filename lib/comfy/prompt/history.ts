import type { Clock } from '../../clock.ts';
import { isWorkerError, WorkerError } from '../../errors.ts';
import type { JsonText } from '../../json.ts';
import type { ComfyClient } from '../transport/client.ts';
import type { ComfySettings } from '../local/settings.ts';

interface Reading {
  readonly client: ComfyClient;
  readonly settings: Pick<ComfySettings, 'limits'>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * The record of a prompt that has ended. It may be a moment late: it is asked for again, with growing pauses.
 * @returns undefined when it has not appeared within ten seconds.
 * @throws WorkerError `comfy.request_failed` when ComfyUI does not answer, `comfy.protocol` when it answers nonsense.
 */
export async function readHistory(
  promptId: string,
  { client, settings, clock, signal }: Reading,
): Promise<JsonText | undefined> {
  const until = clock.now() + settings.limits.historyMs;
  let failures = 0;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LAST_PAUSE_MS)) {
    try {
      const entry = await client.history(promptId, signal);
      if (entry) return entry;
    } catch (error) {
      if (!isWorkerError(error) || ++failures >= FAILURES) throw historyFailed(error);
    }
    if (clock.now() >= until) return undefined;
    await clock.sleep(pauseMs, signal);
  }
}

/** With the texts clients know. */
function historyFailed(error: unknown): unknown {
  if (isWorkerError(error, 'comfy.request_failed'))
    return new WorkerError(error.code, `HTTP communication error with ComfyUI: ${error.message}`, {
      cause: error,
    });
  if (isWorkerError(error, 'comfy.protocol'))
    return new WorkerError(error.code, `An unexpected error occurred: ${error.message}`, {
      cause: error,
    });
  return error;
}

const FIRST_PAUSE_MS = 10;
const LAST_PAUSE_MS = 1000;
const FAILURES = 3;
