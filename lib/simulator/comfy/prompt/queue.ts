import { Heap } from './heap.ts';
import type { PyDict, PyFloat } from '../python/python-json.ts';

/** A prompt as it waits, runs, and goes into the history. */
export interface QueuedPrompt {
  /** Lower runs earlier. A float when the caller chose it. */
  readonly number: number | PyFloat;
  readonly promptId: string;
  readonly graph: PyDict;
  readonly extraData: PyDict;
  /** Output nodes that passed validation. */
  readonly outputs: readonly string[];
  /** Milliseconds since the epoch, with a fraction. */
  readonly queuedAt: number;
}

/**
 * Prompts waiting, and the one that runs. Each change is told to `onChange`, which sends `status` to every socket.
 */
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
   * @throws TypeError when another prompt has the same number and id: Python cannot compare them further. The prompt is
   * queued all the same, and runs.
   */
  put(prompt: QueuedPrompt): void {
    try {
      this.#heap.push(prompt);
      this.#onChange();
    } finally {
      this.#notify();
    }
  }

  /** Makes the first prompt the running one. */
  take(): QueuedPrompt | undefined {
    const first = this.#heap.pop();
    if (!first) return undefined;
    this.#running = first;
    this.#onChange();
    return first;
  }

  /** The running prompt is in the history now. */
  done(): void {
    this.#running = undefined;
    this.#onChange();
  }

  /** Resolves when there may be something to do. */
  async changed(): Promise<void> {
    await this.#wake.promise;
  }

  clear(): void {
    this.#heap.clear();
    this.#onChange();
  }

  /** The only prompt pending is deleted by clearing, which tells everybody twice. */
  delete(promptId: string): void {
    const prompt = this.pending.find((one) => one.promptId === promptId);
    if (!prompt) return;
    if (this.pending.length === 1) this.clear();
    else this.#heap.remove(prompt);
    this.#onChange();
  }

  /** Asks the executor to drop its caches before the next prompt. */
  freeMemory(): void {
    this.#freeMemory = true;
    this.#notify();
  }

  /** Whether {@link freeMemory} was called since this was asked last. */
  takeFreeMemory(): boolean {
    const asked = this.#freeMemory;
    this.#freeMemory = false;
    return asked;
  }

  /** Wakes who waits in {@link changed}. */
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
