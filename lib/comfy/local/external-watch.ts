import type { Clock } from '../../clock.ts';
import { describeError, isWorkerError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { Notifier, settlesWithin } from '../../waiting.ts';
import type { ComfySettings } from '../settings.ts';
import type { ComfyClient } from '../transport/client.ts';
import { isNotConnected } from '../transport/request-failure.ts';
import type { ComfySocket } from '../transport/socket.ts';
import type { ComfyHealth } from './health.ts';
import { expectProcess } from './readiness.ts';

interface WatchParts {
  readonly client: ComfyClient;
  readonly socket: Pick<ComfySocket, 'isBusy' | 'lastMessageAt'>;
  readonly settings: ComfySettings;
  readonly clock: Clock;
  readonly log: Logger;
  readonly health: ComfyHealth;
  /** Called before ComfyUI counts as up. Rejects if it must not be used. */
  readonly warmUp?: ((signal: AbortSignal) => Promise<unknown>) | undefined;
}

/**
 * Notices when a ComfyUI that somebody else starts is down, and when it is back. Down means: the process of the pid file
 * has ended, its port refuses connections, or it gave no answer for `unresponsiveMs` while this worker ran no prompt.
 *
 * It is looked at when its websocket was lost and when a job has failed; every `limits.recoveryLookMs` while it is down;
 * and, in a worker whose jobs wait for it, every `limits.idleLookMs` while no prompt runs. Before its first answer a port
 * that refuses says nothing: ComfyUI may be starting, and the first job waits for it.
 */
export class ExternalWatch implements AsyncDisposable {
  readonly #parts: WatchParts;
  readonly #ended = new AbortController();
  readonly #wakeUp = new Notifier();
  #watching: Promise<void> | undefined;
  #looking: Promise<void> | undefined;
  /** When it answered a look last, or was at work. */
  #answeredAt = -Infinity;

  constructor(parts: WatchParts) {
    // A look would log each time that the process is gone.
    this.#parts = { ...parts, log: parts.log.child({}, { level: 'silent' }) };
    if (parts.warmUp) {
      parts.health.starting();
      this.#watching = this.#begin(parts.warmUp).then(() => this.#watch());
    } else if (parts.settings.downTimeoutMs !== undefined) {
      this.#watching = this.#watch();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    this.#wakeUp.notify();
    await this.#watching;
    await this.#looking;
  }

  /** Looks at ComfyUI now; all callers share one look. Does not reject. */
  look(): Promise<void> {
    if (this.#ended.signal.aborted) return Promise.resolve();
    this.#looking ??= this.#lookOnce().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  /** Finds out whether ComfyUI is down after something failed. Takes at most `limits.quickPingMs`. */
  async onFailure(error: unknown): Promise<void> {
    const { clock, settings } = this.#parts;
    if (this.#lastSign === -Infinity) this.#answeredAt = clock.now(); // it was waited for
    // A port that refused a moment ago has lost its prompts, also if it answers again by now.
    if (isWorkerError(error, 'comfy.unreachable') || isNotConnected(error))
      this.#goDown(describeError(error));
    else await settlesWithin(this.look(), { ms: settings.limits.quickPingMs, clock });
  }

  /** The first warm-up. If it need not succeed, the first job finds out whether ComfyUI is there. */
  async #begin(warmUp: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
    const { health } = this.#parts;
    try {
      await warmUp(this.#ended.signal);
      health.up();
    } catch (error) {
      this.#goDown(describeError(error));
    }
  }

  async #watch(): Promise<void> {
    const { socket, settings, clock, health } = this.#parts;
    const { idleLookMs, recoveryLookMs } = settings.limits;
    const { signal } = this.#ended;
    while (!signal.aborted) {
      const ms = health.status === 'up' ? idleLookMs : recoveryLookMs;
      await settlesWithin(this.#wakeUp.notified(), { ms, clock });
      // A prompt has a watch of its own.
      if (health.status === 'up' && socket.isBusy) this.#answeredAt = clock.now();
      else await this.look();
    }
  }

  async #lookOnce(): Promise<void> {
    const { client, clock, health, warmUp } = this.#parts;
    const { signal } = this.#ended;
    if (health.status === 'starting') return; // the first warm-up decides
    try {
      await expectProcess(this.#parts);
      await client.probe(signal);
      this.#answeredAt = clock.now();
      if (health.status === 'up') return;
      await warmUp?.(signal);
      health.up();
    } catch (error) {
      if (isWorkerError(error, 'comfy.unreachable')) this.#goDown(describeError(error));
      if (this.#lastSign === -Infinity) return;
      if (isNotConnected(error)) this.#goDown(describeError(error));
      else this.#judgeSilence();
    }
  }

  /** When it last answered, sent a message or was at work. */
  get #lastSign(): number {
    return Math.max(this.#answeredAt, this.#parts.socket.lastMessageAt ?? -Infinity);
  }

  #judgeSilence(): void {
    const { socket, clock, settings } = this.#parts;
    const silentMs = clock.now() - this.#lastSign;
    if (socket.isBusy || silentMs <= settings.unresponsiveMs) return;
    this.#goDown(`it gave no answer for ${Math.round(silentMs / 1000)} s (COMFY_UNRESPONSIVE_S)`);
  }

  #goDown(reason: string): void {
    if (this.#ended.signal.aborted) return;
    this.#parts.health.down(reason);
    this.#watching ??= this.#watch();
    this.#wakeUp.notify(); // from now on it is looked at more often
  }
}
