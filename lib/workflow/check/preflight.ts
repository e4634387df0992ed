import { nearest } from '../../choices.ts';
import { JsonText, objectText } from '../../json.ts';
import { readGraph, type Graph } from '../graph.ts';
import type { NodeInfos } from '../node-info.ts';
import { checkInputs, complaint, type Complaint } from './check-inputs.ts';
import { findCycles, toCheckedGraph, upstream, type CheckedNode } from './checked-graph.ts';

export interface Findings {
  /** What is certainly wrong, in the shape of ComfyUI's `node_errors`, so that the same code can put it into words. If `strict`, also what may be wrong. */
  readonly nodeErrors: JsonText;
  /** No node is an output node. */
  readonly lacksOutput: boolean;
  /** ComfyUI is certain to refuse the workflow or to crash on it. Anything less certain is left to ComfyUI. */
  readonly isRefused: boolean;
  /** Classes with complaints. Their descriptions must be fresh before the workflow is refused. */
  readonly classTypes: readonly string[];
}

/**
 * Finds everything ComfyUI's `validate_prompt` (`execution.py`) would complain about, all at once, and also what that
 * function overlooks and the executor then crashes on. As in ComfyUI, inputs are only checked in nodes that an output needs.
 *
 * A class can check inputs in code of its own (`VALIDATE_INPUTS`), which cannot be seen from here and may allow more than
 * the class declares. Complaints that such code could lift never refuse a workflow, and are reported only if `strict`.
 */
export function preflight(
  workflow: JsonText,
  infos: NodeInfos,
  options: {
    /** Names to suggest for a class that is not installed. */
    readonly classNames?: readonly string[];
    /** The classes are those of a simulation: a missing one may well be installed where the workflow runs for real. */
    readonly simulated?: boolean;
    readonly strict?: boolean;
    /** Input files that are not there, by node. */
    readonly missingFiles?: ReadonlyMap<string, readonly Complaint[]>;
  } = {},
): Findings {
  const { classNames = [], simulated = false, strict = false, missingFiles } = options;
  const graph = toCheckedGraph(readGraph(workflow), infos);
  const nodes = [...graph.values()];
  const complaints = new Map<string, Complaint[]>();
  const complain = (nodeId: string, found: readonly Complaint[]) => {
    if (found.length > 0) complaints.set(nodeId, [...(complaints.get(nodeId) ?? []), ...found]);
  };
  for (const node of nodes) complain(node.nodeId, checkNode(node, { classNames, simulated }));
  const isUnrunnable = complaints.size > 0;

  const outputs = nodes.filter(({ info }) => info?.isOutput);
  // The needs of a class that is not installed count, too, so that one round of repairs is enough.
  const uninstalled = nodes.filter(({ info }) => !info);
  const checked = upstream(graph, [...outputs, ...uninstalled], 'declaredLinks');
  for (const node of checked) {
    const isDangling = node.declaredLinks.some(({ nodeId }) => !graph.has(nodeId));
    complain(node.nodeId, [
      ...(isDangling ? [crashing()] : []),
      ...checkInputs(node, graph),
      ...(missingFiles?.get(node.nodeId) ?? []),
    ]);
  }
  for (const cycle of findCycles(graph, checked))
    complain(cycle[0] ?? '', [complaint('dependency_cycle', { cycle_nodes: cycle })]);

  const isSpoiled = ({ nodeId }: CheckedNode) =>
    complaints.get(nodeId)?.some(({ isCertain }) => isCertain) ?? false;
  const accepted = outputs.filter(
    (output) => !upstream(graph, [output], 'declaredLinks').some(isSpoiled),
  );
  // ComfyUI would accept these, its executor would crash on them, and then it would never run a prompt again.
  const poisoned = upstream(graph, accepted, 'links').filter(({ links }) =>
    links.some(({ nodeId }) => !graph.has(nodeId)),
  );
  for (const { nodeId } of poisoned) complain(nodeId, [crashing()]);

  const isReported = ({ isCertain }: Complaint) => strict || isCertain;
  const reported = [...complaints].map(
    ([nodeId, found]) => [nodeId, found.filter(isReported)] as const,
  );
  return {
    nodeErrors: toNodeErrors(new Map(reported), graph),
    lacksOutput: !isUnrunnable && outputs.length === 0,
    isRefused: isUnrunnable || accepted.length === 0 || poisoned.length > 0,
    classTypes: [...complaints.keys()]
      .map((nodeId) => graph.get(nodeId)?.classType ?? '')
      .filter((name) => name !== ''),
  };
}

/**
 * Nodes that crash ComfyUI's executor whatever their class is, in the shape of `node_errors`: the ones without inputs
 * (`comfy_execution/caching.py` reads the inputs without a check).
 */
export function fatalNodes(workflow: JsonText): JsonText {
  const graph = readGraph(workflow);
  const fatal = [...graph.values()].filter(({ inputs }) => !inputs);
  return toNodeErrors(new Map(fatal.map(({ nodeId }) => [nodeId, [crashing()]])), graph);
}

/** Finds what makes ComfyUI refuse the whole workflow, or crash on it, even in a node that no output needs. */
function checkNode(
  { classType, info, inputs }: CheckedNode,
  {
    classNames,
    simulated,
  }: { readonly classNames: readonly string[]; readonly simulated: boolean },
) {
  const complaints: Complaint[] = [];
  if (!info) {
    const similar = classType === undefined ? [] : nearest(classNames, classType, SUGGESTIONS);
    const about = {
      class_type: classType,
      similar,
      ...(simulated && { simulated: JsonText.of(true) }),
    };
    complaints.push(complaint('missing_node_type', about));
  }
  if (!inputs) complaints.push(crashing());
  return complaints;
}

/** The node itself makes ComfyUI's code crash: it has no inputs, or one that is linked to a missing node. */
const crashing = () => complaint('exception_during_validation');

/** ComfyUI's `node_errors`: nodes in the order of the workflow, values as they were sent. */
function toNodeErrors(
  complaints: ReadonlyMap<string, readonly Complaint[]>,
  graph: Graph,
): JsonText {
  const entries = [...graph.values()].flatMap(({ nodeId, classType }) => {
    const errors = complaints.get(nodeId)?.map(({ type, extra }) => {
      const members = Object.entries(extra).map(([name, value]) => [name, value.text] as const);
      return objectText([
        ['type', JSON.stringify(type)],
        ['extra_info', objectText(members)],
      ]);
    });
    if (!errors?.length) return [];
    const entry = objectText([
      ['class_type', JSON.stringify(classType ?? null)],
      ['errors', `[${errors.join(',')}]`],
    ]);
    return [[nodeId, entry] as const];
  });
  return JsonText.parse(objectText(entries));
}

const SUGGESTIONS = 3;
