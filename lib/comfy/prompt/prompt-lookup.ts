import type { Clock } from '../../clock.ts';
import { isWorkerError, WorkerError } from '../../errors.ts';
import { Backoff, RETRY_POLICIES } from '../../http/retry.ts';
import type { JsonText } from '../../json.ts';
import type { ComfySettings } from '../settings.ts';
import type { ComfyClient } from '../transport/client.ts';

interface Lookup {
  readonly client: ComfyClient;
  readonly settings: Pick<ComfySettings, 'limits'>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Where ComfyUI has a prompt. `historyEntry` is its entry in the history. */
export type PromptLocation =
  | { readonly state: 'pending' | 'running' | 'nowhere' }
  | { readonly state: 'ended'; readonly historyEntry: JsonText };

/**
 * Finds a prompt in queue and history. Before it answers `nowhere` it looks for `doubtMs`, because a history can be
 * late and a post can still be on its way.
 */
export async function findPrompt(
  promptId: string,
  doubtMs: number,
  { client, clock, signal }: Pick<Lookup, 'client' | 'clock' | 'signal'>,
): Promise<PromptLocation> {
  let until: number | undefined; // the time that unanswered requests took says nothing about the prompt
  const backoff = new Backoff(RETRY_POLICIES.comfyLookup);
  for (;;) {
    const location = await findNow(promptId, client, signal);
    until ??= clock.now() + doubtMs;
    if (location.state !== 'nowhere' || clock.now() >= until) return location;
    await clock.sleep(Math.min(backoff.next(), until - clock.now() + 1), signal);
  }
}

/**
 * Asks the queue first and the history second: a prompt moves from one to the other in one step (`execution.py`,
 * `PromptQueue.task_done`), so in this order it cannot be missed between the two requests.
 */
export async function findNow(
  promptId: string,
  client: ComfyClient,
  signal: AbortSignal,
): Promise<PromptLocation> {
  const { running, pending } = await client.queue(signal);
  if (running.includes(promptId)) return { state: 'running' };
  if (pending.includes(promptId)) return { state: 'pending' };
  const historyEntry = await client.history(promptId, signal);
  return historyEntry ? { state: 'ended', historyEntry } : { state: 'nowhere' };
}

/**
 * The history entry of a prompt that has ended. ComfyUI may write it a moment later: it is asked for again for up to
 * `limits.historyMs`. `failure` is the error a node raised, for the case that there is no entry.
 * @throws WorkerError `comfy.prompt_lost` when no entry appears, `comfy.request_failed` when ComfyUI does not answer,
 * `comfy.protocol` when the answer cannot be read. Clients match on the texts.
 */
export async function readHistoryEntry(
  promptId: string,
  failure: string | undefined,
  { client, settings, clock, signal }: Lookup,
): Promise<JsonText> {
  /** Begins with the first answer: only an answer without the entry says that it is absent. */
  let until: number | undefined;
  const backoff = new Backoff(RETRY_POLICIES.comfyHistory);
  const failures = new Backoff(RETRY_POLICIES.comfyHistoryFailed);
  let failedRequests = 0;
  for (;;) {
    let pauseMs: number;
    try {
      const historyEntry = await client.history(promptId, signal);
      if (historyEntry) return historyEntry;
      until ??= clock.now() + settings.limits.historyMs;
      if (clock.now() >= until) break;
      pauseMs = backoff.next();
    } catch (error) {
      const isLast = failedRequests++ >= RETRY_POLICIES.comfyHistoryFailed.retries;
      if (!isWorkerError(error) || isLast) throw historyFailed(error);
      pauseMs = failures.next();
    }
    await clock.sleep(pauseMs, signal);
  }
  const text = `Prompt ID ${promptId} not found in history after execution.`;
  if (failure === undefined) throw new WorkerError('comfy.prompt_lost', text);
  throw new WorkerError(
    'comfy.prompt_lost',
    'Job processing failed, prompt ID not found in history.',
    { details: [failure, text] },
  );
}

function historyFailed(error: unknown): unknown {
  if (!isWorkerError(error)) return error;
  switch (error.code) {
    case 'comfy.request_failed': {
      const text = `HTTP communication error with ComfyUI: ${error.message}`;
      return new WorkerError(error.code, text, { cause: error });
    }
    case 'comfy.protocol': {
      const text = `An unexpected error occurred: ${error.message}`;
      return new WorkerError(error.code, text, { cause: error });
    }
    default:
      return error;
  }
}
