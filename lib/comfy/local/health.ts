import { once } from 'node:events';
import type { Clock } from '../../clock.ts';
import type { Logger } from '../../log.ts';
import { Notifier, settlesWithin } from '../../waiting.ts';
import type { BackendHealth } from '../backend.ts';

/**
 * Whether ComfyUI can run prompts.
 *
 * ```
 *   up ◄──── answers ──── starting ◄──── the supervisor starts it ────┐
 *    └── its process ended, its port refuses, it does not react ──► down ──── answers (external) ──► up
 * ```
 *
 * An external ComfyUI counts as up until it is found down.
 */
export class ComfyHealth implements BackendHealth {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #timeoutMs: number | undefined;
  readonly #changed = new Notifier();
  readonly #listeners = new Set<() => void>();
  #status: BackendHealth['status'] = 'up';
  /** When it went down, for people and by the clock that measures ages. */
  #downSince: { readonly wallTime: number; readonly at: number } | undefined;
  #losses = 0;
  #lossReason = '';

  /** `downTimeoutMs`: a ComfyUI that is down for longer will not come back. Undefined: nobody waits for it. */
  constructor({
    clock,
    log,
    downTimeoutMs,
  }: {
    readonly clock: Clock;
    readonly log: Logger;
    readonly downTimeoutMs: number | undefined;
  }) {
    this.#clock = clock;
    this.#log = log;
    this.#timeoutMs = downTimeoutMs;
  }

  get status(): BackendHealth['status'] {
    return this.#status;
  }

  get downSince(): number | undefined {
    return this.#downSince?.wallTime;
  }

  get losses(): number {
    return this.#losses;
  }

  /** Why it went down last; empty when it never did. */
  get lossReason(): string {
    return this.#lossReason;
  }

  get isGivenUp(): boolean {
    return this.#status === 'down' && this.#timeoutMs !== undefined && this.#restMs <= 0;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async untilUp(signal: AbortSignal): Promise<boolean> {
    using wakeUp = new DisposableStack();
    const abort = () => this.#changed.notify();
    signal.addEventListener('abort', abort);
    wakeUp.defer(() => signal.removeEventListener('abort', abort));
    for (;;) {
      signal.throwIfAborted();
      if (this.#status === 'up') return true;
      const mayExpire = this.#status === 'down';
      if (this.#timeoutMs === undefined || (mayExpire && this.#restMs <= 0)) return false;
      const changed = this.#changed.notified();
      if (mayExpire) await settlesWithin(changed, { ms: this.#restMs, clock: this.#clock });
      else await changed;
    }
  }

  async untilGivenUp(signal: AbortSignal): Promise<boolean> {
    const aborted = signal.aborted ? undefined : once(signal, 'abort');
    while (!signal.aborted) {
      const changed = this.#changed.notified();
      const isUp = await this.untilUp(signal).catch(() => true);
      if (!isUp) return true;
      await Promise.race([changed, aborted]);
    }
    return false;
  }

  /**
   * Waits for the verdict about a ComfyUI that is up and may be dead: until its status changes, it `answers`, `ms` are
   * over, or `signal` aborts. Does not reject.
   */
  async untilVerdict(
    answers: () => Promise<boolean>,
    { ms, signal }: { readonly ms: number; readonly signal: AbortSignal },
  ): Promise<void> {
    const until = this.#clock.now() + ms;
    for (;;) {
      const changed = this.#changed.notified();
      if (await answers()) return;
      const isDecided = this.#status !== 'up' || signal.aborted || this.#clock.now() >= until;
      if (isDecided) return;
      await settlesWithin(changed, { ms: VERDICT_LOOK_MS, clock: this.#clock });
    }
  }

  up(): void {
    if (this.#status === 'up') return;
    const downMs = this.#downSince && Math.round(this.#clock.now() - this.#downSince.at);
    this.#downSince = undefined;
    this.#become('up', { downMs }, 'ComfyUI is up');
  }

  starting(): void {
    if (this.#status !== 'starting') this.#become('starting', {}, 'ComfyUI is starting');
  }

  down(reason: string): void {
    if (this.#status === 'down') return;
    if (this.#status === 'up') this.#losses++;
    this.#lossReason = reason;
    this.#downSince ??= { wallTime: this.#clock.wallTime(), at: this.#clock.now() };
    this.#become('down', { reason }, 'ComfyUI is down');
  }

  /** It is up, but was restarted in between: its prompts are lost. */
  restarted(): void {
    if (this.#status !== 'up') return;
    this.#losses++;
    this.#log.warn('ComfyUI was restarted');
  }

  get #restMs(): number {
    return (this.#downSince?.at ?? 0) + (this.#timeoutMs ?? 0) - this.#clock.now();
  }

  /** The only place where the status changes. */
  #become(status: BackendHealth['status'], facts: object, text: string): void {
    this.#status = status;
    this.#log[status === 'down' ? 'warn' : 'info'](facts, text);
    this.#changed.notify();
    for (const listener of this.#listeners) listener();
  }
}

/** Between two questions whether ComfyUI answers. */
const VERDICT_LOOK_MS = 500;
