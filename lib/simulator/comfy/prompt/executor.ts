import { setTimeout as sleep } from 'node:timers/promises';
import { describeError } from '../../../errors.ts';
import type { Logger } from '../../../log.ts';
import { ResultCache } from './cache.ts';
import { epochMs, type EventLog } from '../event-log.ts';
import type { Outcome } from './history.ts';
import { ProcessCrash, type Catalogue } from '../nodes/node.ts';
import type { PromptEvents } from './prompt-events.ts';
import { PromptRun, type Workshop } from './prompt-run.ts';
import type { PromptQueue, QueuedPrompt } from './queue.ts';

/** When a prompt was queued, ran and ended: milliseconds since the epoch, with a fraction. */
export interface PromptTimes {
  readonly promptId: string;
  readonly queuedAt: number;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly succeeded: boolean;
}

export interface ExecutorParts {
  readonly queue: PromptQueue;
  readonly events: PromptEvents;
  readonly log: EventLog;
  readonly catalogue: Catalogue;
  /** How many times faster than asked nodes work; `Infinity` for at once. */
  readonly speed: number;
  /** Ended when the process ends. */
  readonly signal: AbortSignal;
  readonly logger?: Logger | undefined;
  /** Puts the prompt into the history. */
  finish(prompt: QueuedPrompt, outcome: Outcome, startedAt: number): void;
  /** A node ended the process. */
  crash(): void;
}

class Killed extends Error {}

/** The one thread that runs prompts. It can die while the server goes on: then the running prompt stays so for ever. */
export class Executor {
  readonly #parts: ExecutorParts;
  readonly #workshop: Workshop;
  readonly #interruption = { requested: false };
  #killed = false;

  constructor(parts: ExecutorParts) {
    this.#parts = parts;
    this.#workshop = {
      catalogue: parts.catalogue,
      cache: new ResultCache(),
      events: parts.events,
      interruption: this.#interruption,
      work: (ms) => this.#work(ms),
      checkAlive: () => this.#checkAlive(),
    };
  }

  /** Runs prompts until the process ends or the thread dies. Never rejects. */
  async run(): Promise<void> {
    try {
      for (;;) await this.#turn();
    } catch (error) {
      if (this.#parts.signal.aborted) return;
      if (error instanceof ProcessCrash) {
        this.#parts.crash();
        return;
      }
      this.#parts.logger?.debug({ reason: describeError(error) }, 'the simulated executor died');
      this.#parts.log.announce('executor_died');
    }
  }

  interrupt(): void {
    this.#interruption.requested = true;
  }

  /** The thread dies as soon as it does anything: at the next step of the running prompt, or at the next prompt. */
  kill(): void {
    this.#killed = true;
  }

  async #turn(): Promise<void> {
    const { queue, signal } = this.#parts;
    if (queue.takeFreeMemory()) this.#workshop.cache.clear();
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
    const outcome = await PromptRun.run(prompt, this.#workshop);
    this.#checkAlive();
    this.#parts.finish(prompt, outcome, startedAt);
    this.#parts.queue.done();
    this.#parts.events.ended(prompt.promptId);
  }

  async #work(ms: number): Promise<void> {
    const scaled = ms / this.#parts.speed;
    if (scaled > 0) await sleep(scaled, undefined, { signal: this.#parts.signal });
    this.#checkAlive();
  }

  #checkAlive(): void {
    this.#parts.signal.throwIfAborted();
    if (this.#killed) throw new Killed('The executor was killed');
  }
}
