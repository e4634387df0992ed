import type { Clock } from '../clock.ts';
import { pause, settlesWithin } from '../waiting.ts';

export interface ProgressOptions {
  /** Posts one value; never rejects. */
  readonly post: (value: unknown, signal: AbortSignal) => Promise<void>;
  /** Least time between two posts, and before the first; 0 posts nothing. */
  readonly intervalMs: number;
  readonly clock: Clock;
}

/**
 * What is told about a running job: one post at a time, at most one per interval, always the latest value. The first
 * interval is silent, so that a quick job never costs a post.
 *
 * The platform takes progress that arrives after the result for the state of the job, which then is in progress for ever. So
 * the result may only go out when {@link end} has resolved.
 */
export class Progress {
  readonly #options: ProgressOptions;
  readonly #ended = new AbortController();
  readonly #posting = new AbortController();
  #dueAt: number;
  #latest: { readonly value: unknown } | undefined;
  #running: Promise<void> | undefined;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#dueAt = options.clock.now() + options.intervalMs;
  }

  /** Returns at once. */
  update(value: unknown): void {
    if (this.#options.intervalMs === 0 || this.#ended.signal.aborted) return;
    this.#latest = { value };
    this.#running ??= this.#run();
  }

  /** Drops what has not been posted, and waits two seconds at most for what is being posted. */
  async end(): Promise<void> {
    this.#ended.abort();
    if (!this.#running) return;
    const inTime = await settlesWithin(this.#running, {
      ms: LAST_POST_MS,
      clock: this.#options.clock,
    });
    if (!inTime) this.#posting.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, intervalMs, post } = this.#options;
    while (this.#latest && (await this.#isDue())) {
      const { value } = this.#latest;
      this.#latest = undefined;
      this.#dueAt = clock.now() + intervalMs;
      await post(value, this.#posting.signal);
    }
    this.#running = undefined;
  }

  #isDue(): Promise<boolean> {
    const { clock } = this.#options;
    return pause(this.#dueAt - clock.now(), { clock, signal: this.#ended.signal });
  }
}

const LAST_POST_MS = 2000;
