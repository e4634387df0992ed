import type { CheckedGraph } from './checked-graph.ts';

/** One node on the way from an output upstream, with those it needs that have not been visited yet. */
interface Step {
  readonly nodeId: string;
  readonly ahead: string[];
}

/**
 * Cycles among declared inputs: the ids along each, with the first one repeated at the end. Goes on without recursion,
 * because a workflow can be deeper than a stack.
 */
export function findCycles(graph: CheckedGraph): string[][] {
  const cycles: string[][] = [];
  const finished = new Set<string>();
  const path: Step[] = [];
  const places = new Map<string, number>();

  const enter = (nodeId: string) => {
    const node = graph.nodes.get(nodeId);
    if (!node || finished.has(nodeId)) return;
    const place = places.get(nodeId);
    if (place !== undefined) {
      cycles.push([...path.slice(place).map((step) => step.nodeId), nodeId]);
      return;
    }
    places.set(nodeId, path.length);
    path.push({ nodeId, ahead: graph.declaredLinks(node).map((link) => link.nodeId) });
  };
  const leave = ({ nodeId }: Step) => {
    path.pop();
    places.delete(nodeId);
    finished.add(nodeId);
  };

  for (const start of graph.checkedNodes()) {
    enter(start.nodeId);
    for (let step = path.at(-1); step; step = path.at(-1)) {
      const next = step.ahead.pop();
      if (next === undefined) leave(step);
      else enter(next);
    }
  }
  return cycles;
}
