import {
  BYPASSED,
  MUTED,
  unconvertible,
  type EditorFile,
  type EditorGraph,
  type EditorNode,
} from './editor-file.ts';
import { isVirtual } from './virtual-nodes.ts';

/** A graph at its place: the workflow itself, or one instance of a subgraph. */
export interface Scope {
  readonly graph: EditorGraph;
  /** Ids of the instances around it, each followed by a colon. ComfyUI sees node 5 of instance 12 as `12:5`. */
  readonly prefix: string;
  /** The instance whose inside this is, and the scope that instance is in. Undefined for the workflow itself. */
  readonly host?: { readonly node: EditorNode; readonly scope: Scope };
}

/** A node that ComfyUI will run. */
export interface PlacedNode {
  /** The id ComfyUI sees. */
  readonly nodeId: string;
  readonly node: EditorNode;
  readonly scope: Scope;
}

/** Enters an instance of a subgraph. Returns undefined if the node is not an instance. */
export type Enter = (node: EditorNode, scope: Scope) => Scope | undefined;

/** The returned function throws `workflow.unconvertible` for a subgraph within itself, or too many within each other. */
export function createEnter({ subgraphs }: EditorFile): Enter {
  return (node, scope) => {
    const graph = subgraphs.get(node.type);
    if (!graph) return undefined;
    let depth = 0;
    for (let outer: Scope | undefined = scope; outer; outer = outer.host?.scope) {
      if (outer.host?.node.type === node.type)
        throw unconvertible([`Subgraph ${node.type} is within itself`]);
      if (++depth > MAX_DEPTH)
        throw unconvertible([`It has more than ${MAX_DEPTH} subgraphs within each other`]);
    }
    return { graph, prefix: `${scope.prefix}${node.nodeId}:`, host: { node, scope } };
  };
}

/**
 * All nodes that run, with subgraphs unfolded. A short file can unfold to millions of nodes, so their number is bounded.
 * @throws WorkerError `workflow.unconvertible`
 */
export function* unfold(scope: Scope, enter: Enter, count = { nodes: 0 }): Generator<PlacedNode> {
  for (const node of scope.graph.nodes.values()) {
    if (node.mode === MUTED || node.mode === BYPASSED || isVirtual(node.type)) continue;
    if (++count.nodes > MAX_NODES) throw unconvertible([`It has more than ${MAX_NODES} nodes`]);
    const inner = enter(node, scope);
    if (inner) yield* unfold(inner, enter, count);
    else yield { nodeId: scope.prefix + node.nodeId, node, scope };
  }
}

const MAX_NODES = 10_000;
const MAX_DEPTH = 100;
