import { createHash } from 'node:crypto';
import type { NodeOutput } from './history.ts';
import { classOf, hiddenInputs, inputsOf, maybeLink, type Graph } from '../validation/graph.ts';
import type { DescribedNode, NodeHost } from '../nodes/node.ts';
import { toPlain, writeJson } from '../python/python-json.ts';
import { pyRepr, PythonError } from '../python/python-text.ts';

export interface CachedNode {
  readonly outputs: readonly unknown[];
  readonly shown: NodeOutput | undefined;
}

/** ComfyUI's classic cache: node results of the previous prompt, by node signature. */
export class ResultCache {
  #results = new Map<string, CachedNode>();

  /** Drops all other results. */
  keepOnly(signatures: Iterable<string>): void {
    const kept = new Set(signatures);
    this.#results = new Map([...this.#results].filter(([signature]) => kept.has(signature)));
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

/**
 * The cache key of every node. Two nodes have the same key when class, literal inputs, upstream nodes and the class's own
 * fingerprint (such as a file's hash) are equal. Node ids do not count, unless the class has a `UNIQUE_ID` input.
 * @throws PythonError for a node without inputs, which kills ComfyUI's executor.
 */
export async function signGraph(
  graph: Graph,
  described: ReadonlyMap<string, DescribedNode>,
  host: NodeHost,
): Promise<Map<string, string>> {
  const signatures = new Map<string, string>();
  for (const id of graph.keys()) await sign(id);
  return signatures;

  async function sign(id: string): Promise<string> {
    const known = signatures.get(id);
    if (known !== undefined) return known;
    signatures.set(id, CYCLE);
    const signature = createHash('sha1')
      .update(await describeNode(id))
      .digest('base64');
    signatures.set(id, signature);
    return signature;
  }

  async function describeNode(id: string): Promise<string> {
    const node = graph.get(id);
    // A missing node is reported later, by the plan.
    if (!node) return 'missing';
    const inputs = inputsOf(node);
    if (!inputs) throw new PythonError('KeyError', "'inputs'");
    const nodeClass = described.get(classOf(node));
    if (!nodeClass) throw new PythonError('KeyError', pyRepr(classOf(node)));
    const { definition, info } = nodeClass;
    const parts: unknown[] = [classOf(node)];
    if (hiddenInputs(info).some(([, kind]) => kind === 'UNIQUE_ID')) parts.push(id);
    const literals: Record<string, unknown> = {};
    for (const [name, value] of [...inputs].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const link = maybeLink(value);
      if (!link) literals[name] = toPlain(value);
      parts.push([name, link ? [await sign(link.from), link.slot] : { literal: value }]);
    }
    if (definition.fingerprint) parts.push(await definition.fingerprint(literals, host));
    return writeJson(parts);
  }
}

const CYCLE = 'cycle';
