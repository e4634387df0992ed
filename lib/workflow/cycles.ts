import type { CheckedGraph } from './checked-graph.ts';

/**
 * Every cycle among declared inputs, each once, as the ids along it with the first one repeated at the end. Goes on from
 * node to node without recursion: a workflow can be deeper than a stack.
 */
export function findCycles(graph: CheckedGraph): string[][] {
  const cycles: string[][] = [];
  const finished = new Set<string>();
  for (const start of graph.checkedNodes()) walk(start.nodeId);
  return cycles;

  function walk(start: string): void {
    const path: { readonly nodeId: string; readonly ahead: string[] }[] = [];
    enter(start);
    for (let at = path.at(-1); at; at = path.at(-1)) {
      const next = at.ahead.pop();
      if (next === undefined) finished.add(path.pop()?.nodeId ?? '');
      else enter(next);
    }

    function enter(nodeId: string): void {
      const node = graph.nodes.get(nodeId);
      if (!node || finished.has(nodeId)) return;
      const ids = path.map((step) => step.nodeId);
      const closes = ids.indexOf(nodeId);
      if (closes >= 0) cycles.push([...ids.slice(closes), nodeId]);
      else path.push({ nodeId, ahead: graph.declaredLinks(node).map((link) => link.nodeId) });
    }
  }
}
