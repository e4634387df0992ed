import { inputsOf, maybeLink, type Graph } from '../validation/graph.ts';
import { pyRepr, PythonError } from '../python/python-text.ts';

export interface PlanOptions {
  readonly graph: Graph;
  isCached(id: string): boolean;
  isOutput(id: string): boolean;
  /** Inputs whose nodes run only when {@link Plan.require} asks for them. */
  lazyInputs(id: string): readonly string[];
}

/**
 * The nodes a prompt still has to run, and their order. A node is ready when its upstream nodes are done. Of the ready
 * nodes, output nodes come first, then nodes that feed them directly, then nodes that feed those, so that results
 * appear early (`ux_friendly_pick_node` in ComfyUI's `graph.py`).
 */
export class Plan {
  readonly #options: PlanOptions;
  /** Nodes not done yet, with the upstream nodes each waits for. In order of discovery. */
  readonly #waitsFor = new Map<string, Set<string>>();
  readonly #feeds = new Map<string, Set<string>>();

  /** @throws PythonError for a link to a missing node, which kills ComfyUI's executor. */
  constructor(outputs: readonly string[], options: PlanOptions) {
    this.#options = options;
    this.#addAll(outputs);
  }

  /** A node turns out to need lazy inputs: it waits for their nodes and becomes ready again after them. */
  require(id: string, sources: readonly string[]): void {
    this.#addAll(this.#wait(id, sources));
  }

  get isDone(): boolean {
    return this.#waitsFor.size === 0;
  }

  /** The node to run next. Undefined when the remaining nodes form a cycle. */
  next(): string | undefined {
    const ready = [...this.#waitsFor].filter(([, needs]) => needs.size === 0).map(([id]) => id);
    const isOutput = (id: string) => this.#options.isOutput(id);
    const feedsOutput = (id: string) => this.#fedBy(id).some(isOutput);
    return (
      ready.find(isOutput) ??
      ready.find(feedsOutput) ??
      ready.find((id) => this.#fedBy(id).some(feedsOutput)) ??
      ready[0]
    );
  }

  done(id: string): void {
    this.#waitsFor.delete(id);
    for (const fed of this.#fedBy(id)) this.#waitsFor.get(fed)?.delete(id);
  }

  /** The node that is reported for a cycle. */
  get firstWaiting(): string {
    const [first = ''] = this.#waitsFor.keys();
    return first;
  }

  #addAll(ids: readonly string[]): void {
    const found = [...ids].reverse();
    for (let id = found.pop(); id !== undefined; id = found.pop()) {
      if (!this.#waitsFor.has(id)) found.push(...this.#add(id));
    }
  }

  #fedBy(id: string): string[] {
    return [...(this.#feeds.get(id) ?? [])];
  }

  #add(id: string): string[] {
    const node = this.#options.graph.get(id);
    if (!node) throw new PythonError('KeyError', pyRepr(id));
    const lazy = this.#options.lazyInputs(id);
    const eager = [...(inputsOf(node) ?? [])].filter(([name]) => !lazy.includes(name));
    this.#waitsFor.set(id, new Set());
    return this.#wait(
      id,
      eager.flatMap(([, value]) => maybeLink(value)?.from ?? []),
    );
  }

  /** Lets the node wait for those of the sources that have not run, and returns them. */
  #wait(id: string, sources: readonly string[]): string[] {
    const needs = sources.filter((source) => !this.#options.isCached(source));
    for (const need of needs) {
      this.#waitsFor.get(id)?.add(need);
      this.#feedsOf(need).add(id);
    }
    return needs;
  }

  #feedsOf(id: string): Set<string> {
    const known = this.#feeds.get(id) ?? new Set<string>();
    this.#feeds.set(id, known);
    return known;
  }
}
