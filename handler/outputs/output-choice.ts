import { WorkerError } from '../../lib/errors.ts';
import type { JsonText } from '../../lib/json.ts';
import { nodeLabel, readGraph, type Graph } from '../../lib/workflow/graph.ts';
import type { OutputOptions } from '../request/output-options.ts';

/** Which outputs of a workflow come back. */
export interface OutputChoice {
  readonly includeTemp: boolean;
  isWanted(nodeId: string): boolean;
  /** What the editor calls the node. */
  titleOf(nodeId: string): string | undefined;
}

/** Everything that was saved, and no preview: what comes when nothing is asked for. */
export const ALL_SAVED: OutputChoice = {
  includeTemp: false,
  isWanted: () => true,
  titleOf: () => undefined,
};

/**
 * Reads `output.nodes` and `output.includeTemp` against the workflow; before it is run, because what is not there will
 * not be there afterwards either.
 * @throws WorkerError `output.node_unknown` with the nodes there are.
 */
export function chooseOutputs(
  workflow: JsonText,
  { nodes, includeTemp = false }: Pick<OutputOptions, 'nodes' | 'includeTemp'>,
): OutputChoice {
  const graph = readGraph(workflow);
  const titleOf = (nodeId: string) => graph.get(visibleNode(nodeId, graph))?.title;
  if (nodes === undefined) return { ...ALL_SAVED, includeTemp, titleOf };
  const wanted = new Set(nodes.flatMap((name) => findNodes(name, graph)));
  const isWanted = (nodeId: string) => wanted.has(visibleNode(nodeId, graph));
  return { includeTemp, isWanted, titleOf };
}

/** An id before a title. A title may be that of several nodes: all of them are meant. */
function findNodes(name: string, graph: Graph): readonly string[] {
  if (graph.has(name)) return [name];
  const titled = [...graph.values()].filter(({ title }) => title === name);
  if (titled.length === 0) throw unknownNode(name, graph);
  return titled.map(({ nodeId }) => nodeId);
}

/** A node that expands itself makes nodes `5.0.0.1`: their outputs are those of node 5, which is what callers see. */
function visibleNode(nodeId: string, graph: Graph): string {
  return graph.has(nodeId) ? nodeId : nodeId.replace(/\..*$/s, '');
}

function unknownNode(name: string, graph: Graph): WorkerError {
  const names = [...graph.values()].map((node) => `\n  ${nodeLabel(node)}`);
  return new WorkerError(
    'output.node_unknown',
    `output.nodes asks for ${JSON.stringify(name)}, which is neither the id nor the title of a node; there are:${names.join('')}`,
  );
}
