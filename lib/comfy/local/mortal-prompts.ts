import { WorkerError } from '../../errors.ts';
import type { PromptOptions } from '../backend.ts';
import type { ComfyHealth } from './health.ts';

/** The prompts that this worker has in ComfyUI. All of them end when ComfyUI is found dead. */
export class MortalPrompts {
  readonly #health: ComfyHealth;
  readonly #prompts = new Set<{ hasBegun: boolean }>();

  constructor(health: ComfyHealth) {
    this.#health = health;
  }

  /**
   * Options for one prompt, whose signal aborts with that of `options`, and when ComfyUI is found dead. Then the reason is
   * `comfy.not_begun` if the prompt certainly had not begun, otherwise `comfy.prompt_lost`.
   */
  begin(options: PromptOptions): PromptOptions & Disposable {
    const { signal } = options;
    const health = this.#health;
    const { losses } = health;
    const prompt = { hasBegun: false };
    const lost = new AbortController();
    const stopListening = health.onChange(() => {
      if (health.losses === losses) return;
      // ComfyUI runs one prompt at a time. Without another one at work, this one may have begun unnoticed.
      const waited = !prompt.hasBegun && this.#prompts.values().some((other) => other.hasBegun);
      lost.abort(diedError(health.lossReason, waited));
    });
    const abort = () => lost.abort(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort);
    this.#prompts.add(prompt);
    return {
      ...options,
      signal: lost.signal,
      onStarted: () => {
        prompt.hasBegun = true;
        options.onStarted?.();
      },
      onDone: () => {
        this.#prompts.delete(prompt);
        options.onDone?.();
      },
      [Symbol.dispose]: () => {
        this.#prompts.delete(prompt);
        stopListening();
        signal.removeEventListener('abort', abort);
      },
    };
  }
}

/** `waited`: ComfyUI was busy with another prompt. */
function diedError(reason: string, waited: boolean): WorkerError {
  if (waited)
    return new WorkerError(
      'comfy.not_begun',
      `ComfyUI died while the prompt waited behind another one: ${reason}. Send the job again.`,
    );
  return new WorkerError(
    'comfy.prompt_lost',
    `ComfyUI died while it ran the prompt: ${reason}. A node may have crashed it, or the machine ran out of memory.`,
  );
}
