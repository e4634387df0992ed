import { maybeLink, type Graph, type GraphNode, type Link } from '../graph.ts';
import { readNodeInfo, type NodeInfo, type NodeInfos } from '../node-info.ts';

/** A link with the input it is the value of. */
export interface InputLink extends Link {
  readonly inputName: string;
}

/** Which inputs of a node are looked at. */
type LinksOf = (node: GraphNode) => readonly InputLink[];

/** A graph together with what is known of its classes. */
export class CheckedGraph {
  readonly nodes: Graph;
  /** Ids of the nodes ComfyUI starts from. */
  readonly outputs: readonly string[];
  readonly #infos: ReadonlyMap<string, NodeInfo>;

  constructor(nodes: Graph, infos: NodeInfos) {
    this.nodes = nodes;
    this.#infos = readInfos(nodes, infos);
    this.outputs = [...nodes.values()]
      .filter((node) => this.infoOf(node)?.isOutput)
      .map(({ nodeId }) => nodeId);
  }

  /** Undefined when the class is not installed. */
  infoOf({ classType }: GraphNode): NodeInfo | undefined {
    return this.#infos.get(classType ?? '');
  }

  /**
   * The nodes whose values ComfyUI checks: what outputs need by declared inputs. What a class that is not installed would
   * have needed counts as well, so that one round of repairs is enough.
   */
  checkedNodes(): GraphNode[] {
    const unknown = [...this.nodes.values()].filter((node) => !this.infoOf(node));
    return this.#upstream(
      [...this.outputs, ...unknown.map(({ nodeId }) => nodeId)],
      this.#declared,
    );
  }

  /** An output and all it needs by declared inputs. */
  neededBy(output: string): GraphNode[] {
    return this.#upstream([output], this.#declared);
  }

  /** What the executor visits from these outputs: it follows whatever looks like a link, declared or not. */
  visitedFrom(outputs: readonly string[]): GraphNode[] {
    return this.#upstream(outputs, linksOf);
  }

  /** Links of declared inputs; of an unknown class, of all. */
  declaredLinks(node: GraphNode): readonly InputLink[] {
    return this.#declared(node);
  }

  /** Links to nodes that are not in the workflow. */
  danglingLinks(node: GraphNode): readonly InputLink[] {
    return linksOf(node).filter(({ nodeId }) => !this.nodes.has(nodeId));
  }

  readonly #declared: LinksOf = (node) => {
    const info = this.infoOf(node);
    if (!info) return linksOf(node);
    const declared = new Set(info.inputs.map(({ name }) => name));
    return linksOf(node).filter(({ inputName }) => declared.has(inputName));
  };

  /** Each once, nearest first. */
  #upstream(from: readonly string[], links: LinksOf): GraphNode[] {
    const found = new Map<string, GraphNode>();
    const waiting = [...from];
    for (let nodeId = waiting.shift(); nodeId !== undefined; nodeId = waiting.shift()) {
      const node = this.nodes.get(nodeId);
      if (!node || found.has(nodeId)) continue;
      found.set(nodeId, node);
      waiting.push(...links(node).map((link) => link.nodeId));
    }
    return [...found.values()];
  }
}

function readInfos(nodes: Graph, infos: NodeInfos): ReadonlyMap<string, NodeInfo> {
  const classTypes = new Set([...nodes.values()].map(({ classType }) => classType ?? ''));
  return new Map(
    [...classTypes].flatMap((classType) => {
      const entry = infos.get(classType);
      return entry ? [[classType, readNodeInfo(entry)] as const] : [];
    }),
  );
}

function linksOf({ inputs }: GraphNode): InputLink[] {
  return [...(inputs ?? [])].flatMap(([inputName, value]) => {
    const link = maybeLink(value);
    return link ? [{ inputName, ...link }] : [];
  });
}
