import type { PyDict, PyFloat } from './python-json.ts';

/** A prompt as it waits, runs, and goes into the history. */
export interface QueuedPrompt {
  /** Lower runs earlier. A float when the caller chose it. */
  readonly number: number | PyFloat;
  readonly promptId: string;
  readonly graph: PyDict;
  readonly extraData: PyDict;
  /** Output nodes that passed validation. */
  readonly outputs: readonly string[];
}

/**
 * Prompts waiting, in ComfyUI's own heap order (Python's heapq), because `/queue` shows the heap as it is; and the one
 * that runs. Each change is told to `onChange`, which sends `status` to every socket.
 */
export class PromptQueue {
  readonly #heap: QueuedPrompt[] = [];
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
    return this.#heap;
  }

  get remaining(): number {
    return this.#heap.length + this.running.length;
  }

  /**
   * @throws TypeError when another prompt has the same number and id: Python cannot compare them further. The prompt is
   * queued all the same, and runs.
   */
  put(prompt: QueuedPrompt): void {
    this.#heap.push(prompt);
    try {
      siftDown(this.#heap, 0, this.#heap.length - 1);
      this.#onChange();
    } finally {
      this.#notify();
    }
  }

  /** Makes the first prompt the running one. */
  take(): QueuedPrompt | undefined {
    const first = pop(this.#heap);
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
    this.#heap.length = 0;
    this.#onChange();
  }

  /** The only prompt pending is deleted by clearing, which tells everybody twice. */
  delete(promptId: string): void {
    const at = this.#heap.findIndex((prompt) => prompt.promptId === promptId);
    if (at < 0) return;
    if (this.#heap.length === 1) {
      this.clear();
    } else {
      this.#heap.splice(at, 1);
      heapify(this.#heap);
    }
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

function siftDown(heap: QueuedPrompt[], start: number, from: number): void {
  const item = heap[from]!;
  let at = from;
  while (at > start) {
    const up = (at - 1) >> 1;
    const parent = heap[up]!;
    if (!isBefore(item, parent)) break;
    heap[at] = parent;
    at = up;
  }
  heap[at] = item;
}

/** Moves the smaller child up until a leaf is free, then sifts the item from there: heapq's way, with its own layouts. */
function siftUp(heap: QueuedPrompt[], from: number): void {
  const item = heap[from]!;
  let at = from;
  let child = 2 * at + 1;
  while (child < heap.length) {
    const right = child + 1;
    if (right < heap.length && !isBefore(heap[child]!, heap[right]!)) {
      child = right;
    }
    heap[at] = heap[child]!;
    at = child;
    child = 2 * at + 1;
  }
  heap[at] = item;
  siftDown(heap, from, at);
}

function pop(heap: QueuedPrompt[]): QueuedPrompt | undefined {
  const last = heap.pop();
  const first = heap[0];
  if (!last || !first) return last;
  heap[0] = last;
  siftUp(heap, 0);
  return first;
}

function heapify(heap: QueuedPrompt[]): void {
  for (let at = (heap.length >> 1) - 1; at >= 0; at--) siftUp(heap, at);
}
