import type { Clock } from '../clock.ts';
import { pause, settlesWithin } from '../waiting.ts';

interface ProgressOptions {
  /** Posts one value; never rejects. */
  readonly post: (value: unknown, signal: AbortSignal) => Promise<void>;
  /** Shortest time between two posts, and before the first; 0 turns progress off. */
  readonly intervalMs: number;
  readonly clock: Clock;
}

/**
 * The progress posts of one job: one at a time, at most one per interval, always the latest value. The first interval is
 * silent, so that a quick job never costs a post.
 *
 * RunPod takes progress that arrives after the result for the state of the job, which is then in progress for ever. So the
 * result may only be posted when {@link end} has resolved.
 */
export class ProgressPosts {
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

  /** Drops the values that are not posted yet, and waits for an open post, at most two seconds. */
  async end(): Promise<void> {
    this.#ended.abort();
    if (!this.#running) return;
    const { clock } = this.#options;
    const inTime = await settlesWithin(this.#running, { ms: LAST_POST_MS, clock });
    if (!inTime) this.#posting.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, intervalMs, post } = this.#options;
    const { signal } = this.#ended;
    while (this.#latest && (await pause(this.#dueAt - clock.now(), { clock, signal }))) {
      const { value } = this.#latest; // read after the pause: a newer value may have come
      this.#latest = undefined;
      this.#dueAt = clock.now() + intervalMs;
      await post(value, this.#posting.signal);
    }
    this.#running = undefined;
  }
}

const LAST_POST_MS = 2000;
