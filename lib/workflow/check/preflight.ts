import { nearest } from '../../choices.ts';
import type { JsonText } from '../../json.ts';
import { CheckedGraph } from './checked-graph.ts';
import { checkInputs } from './check-inputs.ts';
import { complaint, nodeErrors, type Complaint } from './complaint.ts';
import { findCycles } from './cycles.ts';
import { readGraph, type GraphNode } from '../graph.ts';
import type { NodeInfos } from '../node-info.ts';

export interface Findings {
  /** All that is wrong, in the shape of ComfyUI's `node_errors`: whoever can tell those in words can tell these. */
  readonly nodeErrors: JsonText;
  /** No node gives anything out. */
  readonly lacksOutput: boolean;
  /** ComfyUI would take the workflow, and its executor would die of it: nothing would ever run again. */
  readonly isPoisoned: boolean;
  /** ComfyUI is certain to refuse the workflow or to die of it. What is only likely is for ComfyUI to judge. */
  readonly isRefused: boolean;
  /** Classes in doubt. What was known of them must be fresh before the workflow is refused. */
  readonly classTypes: readonly string[];
}

/**
 * What ComfyUI's `validate_prompt` (`execution.py`) would complain about, all of it at once, and what that overlooks and
 * the executor then dies of. Of what is invalid, only what some output needs counts, as for ComfyUI.
 *
 * What a class checks in code of its own (`VALIDATE_INPUTS`) cannot be seen from here, and may allow more than it declares.
 * Complaints that such code could lift are told but never refuse a workflow.
 */
export function preflight(
  workflow: JsonText,
  infos: NodeInfos,
  classNames: readonly string[] = [],
): Findings {
  const graph = new CheckedGraph(readGraph(workflow), infos);
  const found = new ComplaintBook();
  for (const node of graph.nodes.values()) found.add(node, checkNode(node, graph, classNames));
  const isUnrunnable = found.isAny;

  const checked = graph.checkedNodes();
  for (const node of checked)
    found.add(node, [...checkSources(node, graph), ...checkInputs(node, graph)]);
  for (const cycle of findCycles(graph))
    found.add(graph.nodes.get(cycle[0] ?? ''), [cyclic(cycle)]);

  const accepted = graph.outputs.filter(
    (output) => !graph.neededBy(output).some((node) => found.spoils(node)),
  );
  const poisoned = graph
    .visitedFrom(accepted)
    .filter((node) => graph.danglingLinks(node).length > 0);
  for (const node of poisoned) found.add(node, [uncheckable()]);

  const lacksInputs = [...graph.nodes.values()].some(({ inputs }) => !inputs);
  return {
    nodeErrors: nodeErrors(found.complaints, graph.nodes),
    lacksOutput: !isUnrunnable && graph.outputs.length === 0,
    isPoisoned: poisoned.length > 0 || lacksInputs,
    isRefused: isUnrunnable || accepted.length === 0 || poisoned.length > 0,
    classTypes: found.nodes.map(({ classType }) => classType ?? '').filter(Boolean),
  };
}

/**
 * The nodes that kill ComfyUI's executor whatever their class is, in the shape of `node_errors`: those without inputs
 * (`comfy_execution/caching.py` asks for them without looking).
 */
export function fatalNodes(workflow: JsonText): JsonText {
  const nodes = readGraph(workflow);
  const fatal = [...nodes.values()].filter(({ inputs }) => !inputs);
  return nodeErrors(new Map(fatal.map(({ nodeId }) => [nodeId, [uncheckable()]])), nodes);
}

/** What makes ComfyUI refuse the whole workflow, or die of it, even in a node that nothing needs. */
function checkNode(
  node: GraphNode,
  graph: CheckedGraph,
  classNames: readonly string[],
): Complaint[] {
  const { classType } = node;
  const complaints = node.inputs ? [] : [uncheckable()];
  if (graph.infoOf(node)) return complaints;
  const similar = classType === undefined ? [] : nearest(classNames, classType, NAMES_OFFERED);
  return [complaint('missing_node_type', { class_type: classType, similar }), ...complaints];
}

/** A declared input linked to a node that is not there. */
function checkSources(node: GraphNode, graph: CheckedGraph): Complaint[] {
  const isDangling = graph.declaredLinks(node).some(({ nodeId }) => !graph.nodes.has(nodeId));
  return isDangling ? [uncheckable()] : [];
}

/** ComfyUI stumbles over the node itself: it has no inputs, or one that is linked to nowhere. */
const uncheckable = () => complaint('exception_during_validation');

const cyclic = (cycle: readonly string[]) => complaint('dependency_cycle', { cycle_nodes: cycle });

/** Complaints by node, in the order in which nodes got their first one. */
class ComplaintBook {
  readonly complaints = new Map<string, Complaint[]>();
  readonly #nodes = new Map<string, GraphNode>();

  get isAny(): boolean {
    return this.#nodes.size > 0;
  }

  get nodes(): GraphNode[] {
    return [...this.#nodes.values()];
  }

  add(node: GraphNode | undefined, complaints: readonly Complaint[]): void {
    if (!node || complaints.length === 0) return;
    this.#nodes.set(node.nodeId, node);
    this.complaints.set(node.nodeId, [...(this.complaints.get(node.nodeId) ?? []), ...complaints]);
  }

  /** Whether an output that needs the node is certainly refused. */
  spoils({ nodeId }: GraphNode): boolean {
    return (this.complaints.get(nodeId) ?? []).some(({ isCertain }) => isCertain);
  }
}

const NAMES_OFFERED = 3;
