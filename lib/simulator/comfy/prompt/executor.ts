import { setTimeout as sleep } from 'node:timers/promises';
import { describeError } from '../../../errors.ts';
import type { Logger } from '../../../log.ts';
import { ResultCache } from './cache.ts';
import { epochMs, type EventLog } from '../event-log.ts';
import type { Outcome } from './history.ts';
import { ProcessCrash, type Catalogue } from '../nodes/node.ts';
import type { PromptEvents } from './prompt-events.ts';
import { PromptRun, type ExecutorState } from './prompt-run.ts';
import type { PromptQueue, QueuedPrompt } from './queue.ts';

/** Times of an ended prompt, in milliseconds since the epoch, with a fraction. */
export interface PromptTimes {
  readonly promptId: string;
  readonly queuedAt: number;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly succeeded: boolean;
}

export interface ExecutorOptions {
  readonly queue: PromptQueue;
  readonly events: PromptEvents;
  readonly log: EventLog;
  readonly catalogue: Catalogue;
  /** Divides the working times of nodes; `Infinity` means no waiting. */
  readonly speed: number;
  /** Aborted when the process ends. */
  readonly signal: AbortSignal;
  readonly logger?: Logger | undefined;
  /** Adds the prompt to the history. */
  finish(prompt: QueuedPrompt, outcome: Outcome, startedAt: number): void;
  /** Called when a node crashes the process. */
  crash(): void;
}

class Killed extends Error {}

/**
 * Runs prompts one at a time, like ComfyUI's prompt worker thread. It can die while the server goes on; then the running
 * prompt stays in the queue for ever.
 */
export class Executor {
  readonly #options: ExecutorOptions;
  readonly #state: ExecutorState;
  readonly #interruption = { requested: false };
  #killed = false;
  readonly #notes = new Set<string>();

  constructor(options: ExecutorOptions) {
    this.#options = options;
    this.#state = {
      catalogue: options.catalogue,
      cache: new ResultCache(),
      events: options.events,
      interruption: this.#interruption,
      work: (ms) => this.#work(ms),
      note: (text) => this.#note(text),
      checkAlive: () => this.#checkAlive(),
    };
  }

  /** Runs prompts until the process ends or the executor dies. Never rejects. */
  async run(): Promise<void> {
    try {
      for (;;) await this.#turn();
    } catch (error) {
      if (this.#options.signal.aborted) return;
      if (error instanceof ProcessCrash) {
        this.#options.crash();
        return;
      }
      this.#options.logger?.debug({ reason: describeError(error) }, 'the simulated executor died');
      this.#options.log.announce('executor_died');
    }
  }

  interrupt(): void {
    this.#interruption.requested = true;
  }

  /** The executor dies at the next step of the running prompt, or at the next prompt. */
  kill(): void {
    this.#killed = true;
  }

  async #turn(): Promise<void> {
    const { queue, signal } = this.#options;
    if (queue.takeFreeMemory()) this.#state.cache.clear();
    const prompt = queue.take();
    if (prompt) return this.#runPrompt(prompt);
    const ended = Promise.withResolvers<undefined>();
    const end = () => ended.resolve(undefined);
    signal.addEventListener('abort', end);
    await Promise.race([queue.changed(), ended.promise]);
    signal.removeEventListener('abort', end);
    signal.throwIfAborted();
  }

  async #runPrompt(prompt: QueuedPrompt): Promise<void> {
    this.#checkAlive();
    const startedAt = epochMs();
    const outcome = await PromptRun.run(prompt, this.#state);
    this.#checkAlive();
    this.#options.finish(prompt, outcome, startedAt);
    this.#options.queue.done();
    this.#options.events.ended(prompt.promptId);
  }

  async #work(ms: number): Promise<void> {
    const scaled = ms / this.#options.speed;
    if (scaled > 0) await sleep(scaled, undefined, { signal: this.#options.signal });
    this.#checkAlive();
  }

  #note(text: string): void {
    if (this.#notes.has(text)) return;
    this.#notes.add(text);
    this.#options.logger?.info(text);
  }

  #checkAlive(): void {
    this.#options.signal.throwIfAborted();
    if (this.#killed) throw new Killed('The executor was killed');
  }
}
