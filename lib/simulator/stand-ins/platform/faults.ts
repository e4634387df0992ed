import type { RecordedRequest, Route } from './request.ts';

/**
 * What goes wrong with a request:
 * - `{status, text, headers}` is answered instead, and nothing else happens; `delayMs` before it.
 * - `{delayMs}` alone answers late, but properly.
 * - `reset` tears the connection down; the platform has not noticed the request.
 * - `lose-answer` does as asked, and tears the connection down instead of answering.
 * - `hang` never answers.
 */
export type Fault = Answer | { readonly delayMs: number } | 'reset' | 'lose-answer' | 'hang';

interface Answer {
  readonly status: number;
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly delayMs?: number;
}

type Decide = (request: RecordedRequest) => Fault | undefined;

/** Faults switched on, by route. The first rule that has a fault for a request decides. */
export class Faults {
  readonly #rules = new Set<Decide>();

  /** The next `times` requests of a route go wrong; queued behind those already arranged. */
  next(route: Route, fault: Fault, times = 1): void {
    let left = times;
    const rule: Decide = (request) => {
      if (request.route !== route) return undefined;
      if (--left <= 0) this.#rules.delete(rule);
      return fault;
    };
    if (times > 0) this.#rules.add(rule);
  }

  /** Goes wrong whenever `decide` says so, until the returned function is called. */
  whenever(decide: Decide): () => void {
    const rule: Decide = (request) => decide(request);
    this.#rules.add(rule);
    return () => void this.#rules.delete(rule);
  }

  of(request: RecordedRequest): Fault | undefined {
    for (const rule of this.#rules) {
      const fault = rule(request);
      if (fault) return fault;
    }
    return undefined;
  }

  clear(): void {
    this.#rules.clear();
  }
}
