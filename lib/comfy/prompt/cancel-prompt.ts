import type { Clock } from '../../clock.ts';
import { describeError } from '../../errors.ts';
import { Backoff, RETRY_POLICIES } from '../../http/retry.ts';
import type { Logger } from '../../log.ts';
import { Notifier } from '../../waiting.ts';
import type { ComfySettings } from '../settings.ts';
import type { ComfyClient } from '../transport/client.ts';
import { isNotConnected, withTimeout } from '../transport/request-failure.ts';
import { findNow } from './prompt-lookup.ts';

interface CancelParts {
  readonly client: ComfyClient;
  readonly settings: Pick<ComfySettings, 'limits' | 'unresponsiveMs'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Cancels a prompt in ComfyUI, so that the next one does not wait behind it. Other prompts are not touched. Does not reject.
 *
 * ComfyUI checks for an interrupt only between nodes and at progress calls, and can lose one (`nodes.py`,
 * `interrupt_processing`; `execution.py` resets it). So this repeats until the prompt is gone, or for `ms`, by default
 * `limits.cancelMs`.
 * @returns whether the prompt is gone. It also is when ComfyUI cannot be reached any more.
 */
export async function cancelPrompt(
  promptId: string,
  { client, settings, clock, log }: CancelParts,
  { ms = settings.limits.cancelMs, signal }: { readonly ms?: number; signal?: AbortSignal } = {},
): Promise<boolean> {
  const backoff = new Backoff(RETRY_POLICIES.comfyCancel);
  try {
    await withTimeout({ ms, what: 'cancelling the prompt', clock, signal }, async (inTime) => {
      while (!(await cancelOnce(promptId, client, inTime)))
        await clock.sleep(backoff.next(), inTime);
    });
    log.debug({ promptId }, 'Cancelled the prompt in ComfyUI');
    return true;
  } catch (error) {
    log.warn({ promptId, reason: describeError(error) }, 'The prompt may still run in ComfyUI');
    return isNotConnected(error);
  }
}

/**
 * Before 0.26, removes the prompt from the queue first and interrupts it second: in this order it cannot start unnoticed
 * in between.
 * @returns whether the prompt is gone.
 */
async function cancelOnce(
  promptId: string,
  client: ComfyClient,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const isAsked = await client.cancelJob(promptId, signal);
    if (!isAsked) await client.deletePending(promptId, signal);
    const { state } = await findNow(promptId, client, signal);
    if (state === 'ended' || state === 'nowhere') return true;
    if (!isAsked) await client.interrupt(promptId, signal);
  } catch (error) {
    if (signal.aborted || isNotConnected(error)) throw error;
  }
  return false;
}

/**
 * Prompts that were given up and did not end in time: a node that reports no progress notices an interrupt only when it
 * has ended. They are interrupted further, and the next prompt waits until they are gone. After `unresponsiveMs` a ComfyUI
 * that the worker has started is restarted; for any other one the next prompt has to wait in its queue.
 */
export class LingeringPrompts implements AsyncDisposable {
  readonly #parts: CancelParts;
  readonly #restart: ((reason: string) => void) | undefined;
  readonly #stopping = new AbortController();
  readonly #gone = new Notifier();
  readonly #cancelling = new Map<string, Promise<void>>();

  /** `restart` is absent when this worker cannot restart ComfyUI. */
  constructor(parts: CancelParts, restart?: (reason: string) => void) {
    this.#parts = parts;
    this.#restart = restart;
  }

  add(promptId: string): void {
    if (!this.#cancelling.has(promptId)) this.#cancelling.set(promptId, this.#cancel(promptId));
  }

  /** Resolves when no prompt lingers; rejects with the signal's reason. */
  async untilGone(signal: AbortSignal): Promise<void> {
    const wakeUp = () => this.#gone.notify();
    signal.addEventListener('abort', wakeUp);
    using _ = { [Symbol.dispose]: () => signal.removeEventListener('abort', wakeUp) };
    while (this.#cancelling.size > 0) {
      signal.throwIfAborted();
      await this.#gone.notified();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Error('the worker ends'));
    await Promise.all(this.#cancelling.values());
  }

  async #cancel(promptId: string): Promise<void> {
    const { settings, log } = this.#parts;
    const ms = settings.unresponsiveMs;
    const { signal } = this.#stopping;
    const isGone = await cancelPrompt(promptId, this.#parts, { ms, signal });
    if (!isGone && !signal.aborted) {
      log.warn({ promptId, isRestarted: this.#restart !== undefined }, 'A prompt cannot be ended');
      this.#restart?.(
        `a prompt that was given up did not end within ${ms / 1000} s (COMFY_UNRESPONSIVE_S)`,
      );
    }
    this.#cancelling.delete(promptId);
    this.#gone.notify();
  }
}
