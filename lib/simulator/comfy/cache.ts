import type { NodeOutput } from './history.ts';

export interface CachedNode {
  readonly outputs: readonly unknown[];
  readonly shown: NodeOutput | undefined;
}

/** ComfyUI's classic cache: results of the previous prompt, by signature of the node that made them. */
export class ResultCache {
  #results = new Map<string, CachedNode>();

  /** Forgets what no node of the coming prompt can use. */
  keepOnly(signatures: Iterable<string>): void {
    const wanted = new Set(signatures);
    this.#results = new Map([...this.#results].filter(([signature]) => wanted.has(signature)));
  }

  get(signature: string | undefined): CachedNode | undefined {
    return signature === undefined ? undefined : this.#results.get(signature);
  }

  set(signature: string | undefined, result: CachedNode): void {
    if (signature !== undefined) this.#results.set(signature, result);
  }

  clear(): void {
    this.#results.clear();
  }
}
