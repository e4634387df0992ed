import type { Clock } from '../../clock.ts';
import { describeError, isWorkerError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { pause, settlesWithin } from '../../waiting.ts';
import type { ComfySettings } from '../settings.ts';
import type { ComfyClient } from '../transport/client.ts';
import { isNotConnected } from '../transport/request-failure.ts';
import type { ComfyHealth } from './health.ts';
import { expectProcess } from './readiness.ts';

interface WatchParts {
  readonly client: ComfyClient;
  readonly settings: ComfySettings;
  readonly clock: Clock;
  readonly log: Logger;
  readonly health: ComfyHealth;
  /** Called before ComfyUI counts as up. Rejects if it must not be used. */
  readonly warmUp?: ((signal: AbortSignal) => Promise<unknown>) | undefined;
}

/**
 * Notices when a ComfyUI that somebody else starts is down, and when it is back. Down means: the process of the pid file
 * has ended, or its port refuses connections. It is looked at only after a job has failed, and then until it answers.
 */
export class ExternalWatch implements AsyncDisposable {
  readonly #parts: WatchParts;
  readonly #ended = new AbortController();
  #recovery: Promise<void> | undefined;

  constructor(parts: WatchParts) {
    this.#parts = parts;
    if (!parts.warmUp) return;
    parts.health.starting();
    this.#recovery = this.#begin(parts.warmUp).finally(() => (this.#recovery = undefined));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await this.#recovery;
  }

  /** Finds out whether ComfyUI is down after something failed. Takes at most `limits.quickPingMs`. */
  async onFailure(error: unknown): Promise<void> {
    if (isWorkerError(error, 'comfy.unreachable')) {
      this.#goDown(error);
      return;
    }
    const { clock, settings } = this.#parts;
    const looking = this.#look().catch((reason: unknown) => {
      if (isNotConnected(reason) || isWorkerError(reason, 'comfy.unreachable'))
        this.#goDown(reason);
    });
    await settlesWithin(looking, { ms: settings.limits.quickPingMs, clock });
  }

  async #look(): Promise<void> {
    await expectProcess(this.#parts);
    await this.#parts.client.probe(this.#ended.signal);
  }

  #goDown(reason: unknown): void {
    if (this.#ended.signal.aborted) return;
    this.#parts.health.down(describeError(reason));
    this.#recovery ??= this.#recover().finally(() => (this.#recovery = undefined));
  }

  /** The first warm-up. If it need not succeed, the first job finds out whether ComfyUI is there. */
  async #begin(warmUp: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
    const { health } = this.#parts;
    try {
      await warmUp(this.#ended.signal);
      health.up();
    } catch (error) {
      if (this.#ended.signal.aborted) return;
      health.down(describeError(error));
      await this.#recover();
    }
  }

  async #recover(): Promise<void> {
    const { clock, settings, health, log } = this.#parts;
    const { signal } = this.#ended;
    // The look would log each time that the process is gone.
    const quiet = log.child({}, { level: 'silent' });
    const ms = settings.limits.recoveryLookMs;
    while (await pause(ms, { clock, signal })) {
      try {
        await expectProcess({ ...this.#parts, log: quiet });
        await this.#parts.client.probe(signal);
        await this.#parts.warmUp?.(signal);
        health.up();
        return;
      } catch {
        // Still down.
      }
    }
  }
}
