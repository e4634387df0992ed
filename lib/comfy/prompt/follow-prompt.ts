import type { Clock } from '../../clock.ts';
import { describeError, WorkerError } from '../../errors.ts';
import type { JsonText } from '../../json.ts';
import type { Logger } from '../../log.ts';
import type { ComfyClient } from '../transport/client.ts';
import { readHistory } from './history.ts';
import type { PromptWatch } from './prompt-watch.ts';
import type { ComfySettings } from '../local/settings.ts';
import type { ComfySocket } from '../transport/socket.ts';
import { whereForSure, type Where } from './where.ts';

export interface Following {
  readonly promptId: string;
  readonly watch: PromptWatch;
  readonly client: ComfyClient;
  readonly socket: ComfySocket;
  readonly settings: Pick<ComfySettings, 'pollIntervalMs' | 'silenceTimeoutMs' | 'limits'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/**
 * Waits until a prompt has ended, and returns its history.
 *
 * Events do the work as long as the connection lives over which the prompt was submitted. When it is lost, and whenever
 * nothing was heard for a while, queue and history are asked. On a later connection no events of this prompt come, but
 * `status` goes to every socket when the queue changes: each one is a reason to ask.
 *
 * @throws WorkerError `comfy.prompt_lost`, `comfy.silent`, `comfy.socket_failed`, `comfy.request_failed`
 */
export async function followPrompt(following: Following): Promise<JsonText> {
  const { watch, socket, settings, clock, signal } = following;
  for (;;) {
    await watch.wait(settings.pollIntervalMs);
    signal.throwIfAborted();
    if (watch.done) return await historyOf(following);
    const entry = await look(following);
    if (entry) return entry;
    if (watch.deaf) await socket.reconnect(signal);
    await clock.sleep(settings.limits.lookFloorMs, signal);
  }
}

async function look(following: Following): Promise<JsonText | undefined> {
  const where = await maybeWhere(following);
  const { watch, promptId } = following;
  switch (where?.state) {
    case 'ended':
      return where.entry;
    case 'pending':
      watch.excuseSilence();
      return undefined;
    case 'running':
      watch.started();
      if (watch.deaf) watch.excuseSilence();
      expectSound(following);
      return undefined;
    case 'nowhere':
      if (watch.ended) return await historyOf(following);
      throw promptLost(promptId);
    case undefined:
      expectSound(following);
      return undefined;
  }
}

/** A look that fails proves nothing: ComfyUI answers slowly while it loads a model. */
async function maybeWhere(following: Following): Promise<Where | undefined> {
  try {
    const { doubtMs } = following.settings.limits;
    return await whereForSure(following.promptId, { ...following, doubtMs });
  } catch (error) {
    following.signal.throwIfAborted();
    following.log.debug({ error: describeError(error) }, 'could not ask for the prompt');
    return undefined;
  }
}

function expectSound({ watch, settings, promptId }: Following): void {
  if (watch.silentMs <= settings.silenceTimeoutMs) return;
  const seconds = Math.round(watch.silentMs / 1000);
  throw new WorkerError(
    'comfy.silent',
    `Prompt ${promptId} has sent nothing for ${seconds} s although ComfyUI says it runs; it was interrupted. ` +
      'ComfyUI may be stuck, or COMFY_SILENCE_TIMEOUT_S is too short for a node of this workflow.',
  );
}

async function historyOf(following: Following): Promise<JsonText> {
  const entry = await readHistory(following.promptId, following);
  if (entry) return entry;
  throw notInHistory(following.promptId, following.watch.failure);
}

function promptLost(promptId: string): WorkerError {
  return new WorkerError(
    'comfy.prompt_lost',
    `Prompt ${promptId} is neither in ComfyUI's queue nor in its history: ` +
      'somebody deleted it, or ComfyUI restarted while it waited or ran. Send the job again.',
  );
}

function notInHistory(promptId: string, failure: string | undefined): WorkerError {
  const text = `Prompt ID ${promptId} not found in history after execution.`;
  if (failure === undefined) return new WorkerError('comfy.prompt_lost', text);
  return new WorkerError(
    'comfy.prompt_lost',
    'Job processing failed, prompt ID not found in history.',
    { details: [failure, text] },
  );
}
