import { maybeLink, type Graph, type GraphNode, type Link } from '../graph.ts';
import { readNodeInfo, type NodeInfo, type NodeInfos } from '../node-info.ts';
import { expectedInputs, type ExpectedInput } from './dynamic-inputs.ts';

/** A node together with what its class declares. */
export interface CheckedNode extends GraphNode {
  /** Undefined if the class is not installed. */
  readonly info: NodeInfo | undefined;
  /** The inputs its class declares, with dynamic ones replaced. Empty if the class is not installed. */
  readonly expected: readonly ExpectedInput[];
  /** Every input that looks like a link. The executor follows all of them. */
  readonly links: readonly Link[];
  /** The links of declared inputs, the only ones ComfyUI validates. If the class is not installed: all links. */
  readonly declaredLinks: readonly Link[];
}

export type CheckedGraph = ReadonlyMap<string, CheckedNode>;

export function toCheckedGraph(graph: Graph, infos: NodeInfos): CheckedGraph {
  const read = new Map<string, NodeInfo | undefined>();
  const checked = new Map<string, CheckedNode>();
  for (const node of graph.values()) {
    const classType = node.classType ?? '';
    if (!read.has(classType)) {
      const entry = infos.get(classType);
      read.set(classType, entry && readNodeInfo(entry));
    }
    const info = read.get(classType);
    const links = [...(node.inputs ?? [])].flatMap(([inputName, value]) => {
      const link = maybeLink(value);
      return link ? [{ inputName, ...link }] : [];
    });
    const expected = info ? expectedInputs(info, node.inputs ?? new Map()) : [];
    const declared = info && new Set(expected.map(({ name }) => name));
    const declaredLinks = links.filter(({ inputName }) => declared?.has(inputName) ?? true);
    checked.set(node.nodeId, { ...node, info, expected, links, declaredLinks });
  }
  return checked;
}

/** `from` and all nodes they need along one kind of links. Each node once, the nearest first. */
export function upstream(
  graph: CheckedGraph,
  from: readonly CheckedNode[],
  along: 'links' | 'declaredLinks',
): CheckedNode[] {
  const found = new Set<CheckedNode>(from);
  for (const node of found) {
    for (const { nodeId } of node[along]) {
      const source = graph.get(nodeId);
      if (source) found.add(source); // a set that is iterated also visits what is added
    }
  }
  return [...found];
}

/**
 * Cycles of declared links that are reached from `starts`: the ids along each, with the first one repeated at the end.
 * Works without recursion, because a workflow can be deeper than the stack.
 */
export function findCycles(graph: CheckedGraph, starts: readonly CheckedNode[]): string[][] {
  const cycles: string[][] = [];
  const finished = new Set<string>();
  /** The way from a start to the current node, with the links of each node that are still to be followed. */
  const path: { readonly nodeId: string; readonly unvisited: string[] }[] = [];
  const depths = new Map<string, number>();

  const enter = (nodeId: string) => {
    const node = graph.get(nodeId);
    if (!node || finished.has(nodeId)) return;
    const depth = depths.get(nodeId);
    if (depth !== undefined) {
      cycles.push([...path.slice(depth).map((step) => step.nodeId), nodeId]);
      return;
    }
    depths.set(nodeId, path.length);
    path.push({ nodeId, unvisited: node.declaredLinks.map((link) => link.nodeId) });
  };

  for (const start of starts) {
    enter(start.nodeId);
    for (let step = path.at(-1); step; step = path.at(-1)) {
      const next = step.unvisited.pop();
      if (next !== undefined) {
        enter(next);
        continue;
      }
      path.pop();
      depths.delete(step.nodeId);
      finished.add(step.nodeId);
    }
  }
  return cycles;
}
