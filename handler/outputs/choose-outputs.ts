import { WorkerError } from '../../lib/errors.ts';
import type { JsonText } from '../../lib/json.ts';
import { nodeLabel, readGraph, type Graph } from '../../lib/workflow/graph.ts';
import type { OutputOptions } from '../request/output-options.ts';

/** Which outputs of a workflow come back. */
export interface OutputChoice {
  /** Also previews, which ComfyUI keeps in its temp folder. */
  readonly includeTemp: boolean;
  isWanted(nodeId: string): boolean;
  /** The node's title in the editor. */
  titleOf(nodeId: string): string | undefined;
}

/** The default: every saved file and no preview. */
export const ALL_SAVED: OutputChoice = {
  includeTemp: false,
  isWanted: () => true,
  titleOf: () => undefined,
};

/**
 * Resolves `output.nodes` and `output.includeTemp` against the workflow. Called before the workflow runs, so that a
 * misspelt node costs no GPU time.
 * @throws WorkerError `output.node_unknown` with a list of all nodes.
 */
export function chooseOutputs(
  workflow: JsonText,
  { nodes, includeTemp = false }: Pick<OutputOptions, 'nodes' | 'includeTemp'>,
): OutputChoice {
  const graph = readGraph(workflow);
  // A node that expands creates nodes like `5.0.0.1`. Their outputs belong to node 5, the one callers see.
  const visible = (nodeId: string) => (graph.has(nodeId) ? nodeId : nodeId.replace(/\..*$/s, ''));
  const titleOf = (nodeId: string) => graph.get(visible(nodeId))?.title;
  if (nodes === undefined) return { ...ALL_SAVED, includeTemp, titleOf };
  const wanted = new Set(nodes.flatMap((name) => findNodes(name, graph)));
  return { includeTemp, isWanted: (nodeId) => wanted.has(visible(nodeId)), titleOf };
}

/** An id wins over a title. If several nodes share the title, all of them are chosen. */
function findNodes(name: string, graph: Graph): readonly string[] {
  if (graph.has(name)) return [name];
  const nodes = [...graph.values()];
  const titled = nodes.filter(({ title }) => title === name);
  if (titled.length > 0) return titled.map(({ nodeId }) => nodeId);
  const names = nodes.map((node) => `\n  ${nodeLabel(node)}`);
  throw new WorkerError(
    'output.node_unknown',
    `output.nodes asks for ${JSON.stringify(name)}, which is neither the id nor the title of a node; there are:${names.join('')}`,
  );
}
