import { Heap } from './heap.ts';
import type { PyDict, PyFloat } from '../python/python-json.ts';

/** A prompt, from the queue to the history. */
export interface QueuedPrompt {
  /** Prompts with lower numbers run first. A float if the caller chose it. */
  readonly number: number | PyFloat;
  readonly promptId: string;
  readonly graph: PyDict;
  readonly extraData: PyDict;
  /** Output nodes that passed validation. */
  readonly outputs: readonly string[];
  /** Milliseconds since the epoch, with a fraction. */
  readonly queuedAt: number;
}

/** Pending prompts and the running one. Every change calls `onChange`, which sends `status` to all sockets. */
export class PromptQueue {
  readonly #heap = new Heap(isBefore);
  readonly #onChange: () => void;
  #running: QueuedPrompt | undefined;
  #wake = Promise.withResolvers<undefined>();
  #freeMemory = false;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  get running(): readonly QueuedPrompt[] {
    return this.#running ? [this.#running] : [];
  }

  /** In heap order. */
  get pending(): readonly QueuedPrompt[] {
    return this.#heap.items;
  }

  get remaining(): number {
    return this.pending.length + this.running.length;
  }

  /**
   * @throws TypeError when another prompt has the same number and id, because Python cannot compare the rest of the
   * tuple. The prompt is queued and runs all the same.
   */
  put(prompt: QueuedPrompt): void {
    try {
      this.#heap.push(prompt);
      this.#onChange();
    } finally {
      this.#notify();
    }
  }

  /** Takes the first prompt from the queue and makes it the running one. */
  take(): QueuedPrompt | undefined {
    const first = this.#heap.pop();
    if (!first) return undefined;
    this.#running = first;
    this.#onChange();
    return first;
  }

  /** The running prompt has ended. */
  done(): void {
    this.#running = undefined;
    this.#onChange();
  }

  /** Resolves when the executor should look again: a prompt was queued, or memory is to be freed. */
  async changed(): Promise<void> {
    await this.#wake.promise;
  }

  clear(): void {
    this.#heap.clear();
    this.#onChange();
  }

  /** Returns whether the prompt was pending. Like ComfyUI, sends `status` twice if it was the only one. */
  delete(promptId: string): boolean {
    const prompt = this.pending.find((one) => one.promptId === promptId);
    if (!prompt) return false;
    if (this.pending.length === 1) this.clear();
    else this.#heap.remove(prompt);
    this.#onChange();
    return true;
  }

  /** Asks the executor to clear its cache before the next prompt. */
  freeMemory(): void {
    this.#freeMemory = true;
    this.#notify();
  }

  /** Whether {@link freeMemory} was called; resets the flag. */
  takeFreeMemory(): boolean {
    const requested = this.#freeMemory;
    this.#freeMemory = false;
    return requested;
  }

  /** Resolves {@link changed}. */
  #notify(): void {
    this.#wake.resolve(undefined);
    this.#wake = Promise.withResolvers();
  }
}

export function numberOf({ number }: QueuedPrompt): number {
  return typeof number === 'number' ? number : number.value;
}

function isBefore(a: QueuedPrompt, b: QueuedPrompt): boolean {
  if (numberOf(a) !== numberOf(b)) return numberOf(a) < numberOf(b);
  if (a.promptId !== b.promptId) return a.promptId < b.promptId;
  throw new TypeError('Two prompts with one number and one id cannot be ordered');
}
