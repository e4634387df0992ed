import type { PromptEvent } from '../transport/messages.ts';

/**
 * How long each node was the one at work: from being said to execute to the next one's turn. Nodes that work side by side,
 * as those that wait for remote APIs do, share the time by whose turn was told last.
 */
export class NodeTimes {
  readonly #spent = new Map<string, number>();
  #node: string | undefined;
  #since = 0;

  record(event: PromptEvent, now: number): void {
    if (event.type === 'executing') this.#turn(event.node, now);
    if (ENDS.has(event.type)) this.#turn(undefined, now);
  }

  /** Milliseconds by node id. */
  get byNode(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#spent);
  }

  #turn(node: string | undefined, now: number): void {
    if (this.#node !== undefined) {
      const before = this.#spent.get(this.#node) ?? 0;
      this.#spent.set(this.#node, Math.round((before + now - this.#since) * 10) / 10);
    }
    this.#node = node;
    this.#since = now;
  }
}

const ENDS: ReadonlySet<PromptEvent['type']> = new Set([
  'succeeded',
  'failed',
  'interrupted',
  'done',
]);
