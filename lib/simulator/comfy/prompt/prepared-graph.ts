import { signGraph, type ResultCache } from './cache.ts';
import { classOf, hiddenInputs, inputsOf, maybeLink, type Graph } from '../validation/graph.ts';
import { declaredInputs, nestInputs } from '../nodes/dynamic-inputs.ts';
import { PyFloat, toPlain, type PyDict, type PyValue } from '../python/python-json.ts';
import { pyRepr, PythonError } from '../python/python-text.ts';
import type { QueuedPrompt } from './queue.ts';
import { describeClasses, type Catalogue, type DescribedNode } from '../nodes/node.ts';

/** A prompt's graph, with the classes and the cache keys of its nodes. */
export class PreparedGraph {
  readonly graph: Graph;
  /** Cache keys by node id. */
  readonly signatures: ReadonlyMap<string, string>;
  readonly #described: ReadonlyMap<string, DescribedNode>;

  private constructor(
    graph: Graph,
    signatures: ReadonlyMap<string, string>,
    described: ReadonlyMap<string, DescribedNode>,
  ) {
    this.graph = graph;
    this.signatures = signatures;
    this.#described = described;
  }

  /** @throws PythonError for a node without inputs, which kills ComfyUI's executor. */
  static async prepare(graph: Graph, catalogue: Catalogue): Promise<PreparedGraph> {
    const described = await describeClasses(new Set([...graph.values()].map(classOf)), catalogue);
    return new PreparedGraph(graph, await signGraph(graph, described, catalogue.host), described);
  }

  classOf(id: string): string {
    return classOf(this.#node(id));
  }

  /** @throws PythonError for an unknown node. */
  describedNode(id: string): DescribedNode {
    const described = this.#described.get(this.classOf(id));
    if (!described) throw new PythonError('KeyError', pyRepr(id));
    return described;
  }

  isCached(id: string, cache: ResultCache): boolean {
    return cache.get(this.signatures.get(id)) !== undefined;
  }

  /**
   * The values of a node's declared inputs by name: literals as JavaScript values, links resolved from the cache. A link to
   * a node that has not run gives undefined. An input of any type receives floats as {@link PyFloat}, because only there
   * it matters that Python prints them unlike integers.
   */
  gatherInputs(id: string, cache: ResultCache): Record<string, unknown> {
    const { definition, info } = this.describedNode(id);
    const inputs = inputsOf(this.#node(id)) ?? new Map<string, PyValue>();
    const declared = declaredInputs(info, inputs);
    const ofAnyType = new Set(declared.filter(({ type }) => type === '*').map(({ name }) => name));
    const names = definition.acceptsAllInputs
      ? [...inputs.keys()]
      : declared.map(({ name }) => name);
    const values = names.flatMap((name) => {
      const value = inputs.get(name);
      if (value === undefined) return [];
      return [[name, this.#resolve(value, cache, { keepFloats: ofAnyType.has(name) })] as const];
    });
    return Object.fromEntries(values);
  }

  /** Values of {@link gatherInputs}, with those of dynamic inputs in nested objects. */
  nestInputs(id: string, values: Readonly<Record<string, unknown>>): Record<string, unknown> {
    const inputs = inputsOf(this.#node(id)) ?? new Map<string, PyValue>();
    return nestInputs(this.describedNode(id).info, inputs, values);
  }

  /** Nodes that feed this one through the given inputs. */
  sourcesOf(id: string, names: readonly string[]): string[] {
    const inputs = inputsOf(this.#node(id));
    return names.flatMap((name) => maybeLink(inputs?.get(name))?.from ?? []);
  }

  /** Names of linked inputs that the node may not need. Only its class can tell, when the others are known. */
  lazyInputs(id: string): string[] {
    const inputs = inputsOf(this.#node(id));
    if (!inputs || !this.describedNode(id).definition.needs) return [];
    return declaredInputs(this.describedNode(id).info, inputs)
      .filter(({ name, options }) => options.lazy === true && maybeLink(inputs.get(name)))
      .map(({ name }) => name);
  }

  /** The values of a node's hidden inputs, as error messages show them. */
  gatherHidden(id: string, prompt: QueuedPrompt): Record<string, unknown> {
    const hidden = hiddenInputs(this.describedNode(id).info);
    return Object.fromEntries(hidden.map(([name, kind]) => [name, hiddenText(kind, id, prompt)]));
  }

  #node(id: string): PyDict {
    const node = this.graph.get(id);
    if (!node) throw new PythonError('KeyError', pyRepr(id));
    return node;
  }

  #resolve(value: PyValue, cache: ResultCache, { keepFloats }: { keepFloats: boolean }): unknown {
    const link = maybeLink(value);
    if (!link) return toPlain(value, { keepFloats });
    const output = cache.get(this.signatures.get(link.from))?.outputs.at(link.slot);
    const isFloat =
      typeof output === 'number' &&
      this.describedNode(link.from).info.output[link.slot] === 'FLOAT';
    return isFloat && keepFloats ? new PyFloat(output) : output;
  }
}

export function pnginfoOf({ extraData }: QueuedPrompt): PyDict | undefined {
  const pnginfo = extraData.get('extra_pnginfo');
  return pnginfo instanceof Map ? pnginfo : undefined;
}

function hiddenText(kind: string, id: string, prompt: QueuedPrompt): string | null {
  const pnginfo = pnginfoOf(prompt);
  switch (kind) {
    case 'PROMPT':
      return pyRepr(prompt.graph);
    case 'EXTRA_PNGINFO':
      return pnginfo ? pyRepr(pnginfo) : null;
    case 'UNIQUE_ID':
      return id;
    default:
      return null;
  }
}
