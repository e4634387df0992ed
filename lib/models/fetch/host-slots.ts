import { addAbortListener } from 'node:events';
import { Notifier } from '../../waiting.ts';

/**
 * The connections to each host. A site that answers 429 or 503 has too many of them, and gets half as many from then on, at
 * least one.
 */
export class HostSlots {
  readonly #hosts = new Map<string, { limit: number; used: number; readonly freed: Notifier }>();
  readonly #limit: number;

  /** @param limit connections to one host */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Waits for a free connection. Disposing the slot releases it. */
  async acquire(host: string, signal: AbortSignal): Promise<Disposable> {
    const slots = this.#of(host);
    using _waking = addAbortListener(signal, () => slots.freed.notify());
    while (slots.used >= slots.limit && !signal.aborted) await slots.freed.notified();
    signal.throwIfAborted();
    slots.used++;
    return {
      [Symbol.dispose]: () => {
        slots.used--;
        slots.freed.notify();
      },
    };
  }

  /** Called when the host refused a connection. Refusals of connections that were opened before the last halving do not count. */
  halve(host: string): void {
    const slots = this.#of(host);
    if (slots.used <= slots.limit) slots.limit = Math.max(1, Math.floor(slots.limit / 2));
  }

  #of(host: string) {
    const known = this.#hosts.get(host);
    if (known) return known;
    const slots = { limit: this.#limit, used: 0, freed: new Notifier() };
    this.#hosts.set(host, slots);
    return slots;
  }
}
