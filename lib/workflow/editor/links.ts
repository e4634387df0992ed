import { WorkerError } from '../../errors.ts';
import type { JsonText } from '../../json.ts';
import {
  BYPASSED,
  MUTED,
  SUBGRAPH_INPUT,
  SUBGRAPH_OUTPUT,
  type EditorGraph,
  type EditorLink,
  type EditorNode,
} from './editor-file.ts';
import { promotedValue, promotedValues, type NodeReader } from './promoted-values.ts';
import type { Scope } from './subgraphs.ts';
import { GIVES_VALUE, PASSES_ON, READS_NAME, WRITES_NAME } from './virtual-nodes.ts';

/** The origin of an input's value, after everything that only exists in the editor has been followed through. */
export type Source =
  | { readonly kind: 'output'; readonly nodeId: string; readonly output: number }
  | { readonly kind: 'value'; readonly value: JsonText; readonly isPrimitive: boolean }
  /** A muted node. The input gets nothing, not even the value of its widget. */
  | { readonly kind: 'muted' };

/** One end of a node on the way back: an input that wants a value of `type`, or an output that gives one. */
interface NodeEnd {
  readonly side: 'input' | 'output';
  readonly scope: Scope;
  readonly node: EditorNode;
  readonly slot: number;
  readonly type: string;
}

/** The next step on the way back. Undefined: nothing feeds the input. */
type Step = NodeEnd | Source | undefined;

/**
 * Follows an input back to its source: through reroutes and other virtual nodes, bypassed nodes, and the borders of
 * subgraphs. Goes step by step without recursion, because a chain of nodes can be deeper than the stack.
 * @throws WorkerError `workflow.unconvertible` if the links form a circle.
 */
export function traceInput(
  { scope, node, slot }: Pick<NodeEnd, 'scope' | 'node' | 'slot'>,
  reader: NodeReader,
): Source | undefined {
  const type = node.inputs[slot]?.type ?? '*';
  const { source, at } = traceEnd({ side: 'input', scope, node, slot, type }, reader);
  // The editor copies the value of a primitive node into the widgets it is linked to, but not into a subgraph.
  return source?.kind === 'value' && source.isPrimitive && at !== scope ? undefined : source;
}

/** Where a way back ends: its source, and the scope of the last node end. */
interface WayEnd {
  readonly source: Source | undefined;
  readonly at: Scope;
}

/** Many ways share a long piece, such as one chain of reroutes, so each piece is walked once for a conversion. */
function traceEnd(start: NodeEnd, reader: NodeReader): WayEnd {
  const known = knownEnds.get(reader) ?? new Map<string, WayEnd>();
  knownEnds.set(reader, known);
  const seen = new Set<string>();
  const remember = (end: WayEnd) => {
    for (const key of seen) known.set(key, end);
    return end;
  };
  let step: Step = start;
  let at = start.scope;
  while (step && 'side' in step) {
    at = step.scope;
    const nodeId = `${at.prefix}${step.node.nodeId}`;
    const key = `${step.side} ${step.slot} of ${nodeId} as ${step.type}`;
    if (seen.has(key)) {
      throw new WorkerError(
        'workflow.unconvertible',
        `Node ${nodeId} (${step.node.type}) is linked to itself by way of reroutes, bypassed nodes or subgraphs`,
      );
    }
    const end = known.get(key);
    if (end) return remember(end);
    seen.add(key);
    step = step.side === 'input' ? stepFromInput(step, reader) : stepFromOutput(step, reader);
  }
  return remember({ source: step, at });
}

const knownEnds = new WeakMap<NodeReader, Map<string, WayEnd>>();

/** Follows the link of an input. */
function stepFromInput({ scope, node, slot, type }: NodeEnd, reader: NodeReader): Step {
  const link = linkTo(scope.graph, node, slot);
  // Newer editors turn a promoted widget into an input of the subgraph, which takes the place of an inner link.
  const promoted = scope.host && promotedValues(scope.host.node, node.nodeId);
  const value = promoted?.get(node.inputs[slot]?.name ?? '');
  if (value && link?.originId !== SUBGRAPH_INPUT)
    return { kind: 'value', value, isPrimitive: false };
  return link && stepToOrigin(scope, link, type, reader);
}

/**
 * The link that leads to an input. The table of links decides: a slot can name a link that leads elsewhere, or none. If a
 * link leads to the node, the slot that names it is right, because the order of slots changes between versions of a class.
 */
function linkTo(graph: EditorGraph, node: EditorNode, slot: number): EditorLink | undefined {
  const named = graph.links.get(node.inputs[slot]?.linkId ?? '');
  if (named?.targetId === node.nodeId) return named;
  const atSlot = linksByTarget(graph).get(`${node.nodeId} ${slot}`) ?? [];
  const claimed = new Set(node.inputs.map(({ linkId }) => linkId));
  return atSlot.find(([linkId]) => !claimed.has(linkId))?.[1];
}

type LinkEntry = readonly [linkId: string, EditorLink];

/** The links of a graph by target node and slot. */
function linksByTarget(graph: EditorGraph): ReadonlyMap<string, readonly LinkEntry[]> {
  const known = indexes.get(graph);
  if (known) return known;
  const index = Map.groupBy(graph.links, ([, link]) => `${link.targetId} ${link.targetSlot}`);
  indexes.set(graph, index);
  return index;
}

const indexes = new WeakMap<EditorGraph, ReadonlyMap<string, readonly LinkEntry[]>>();

function stepFromOutput(end: NodeEnd, reader: NodeReader): Step {
  const { scope, node, slot, type } = end;
  if (node.mode === MUTED) return { kind: 'muted' };
  if (node.mode === BYPASSED) return throughBypassed(end);
  const inner = reader.enter(node, scope);
  if (inner) {
    const links = [...inner.graph.links.values()];
    const link = links.find((one) => one.targetId === SUBGRAPH_OUTPUT && one.targetSlot === slot);
    return link && stepToOrigin(inner, link, type, reader);
  }
  if (GIVES_VALUE.has(node.type)) {
    const [value] = node.values?.items() ?? [];
    return value && { kind: 'value', value, isPrimitive: true };
  }
  if (READS_NAME.has(node.type)) return toWriter(end);
  if (PASSES_ON.has(node.type)) return { ...end, side: 'input' };
  return { kind: 'output', nodeId: scope.prefix + node.nodeId, output: slot };
}

/** The node end that a link starts from. If that is the border of the subgraph, the way goes on at the instance's input. */
function stepToOrigin(
  scope: Scope,
  { originId, originSlot }: { readonly originId: string; readonly originSlot: number },
  type: string,
  reader: NodeReader,
): Step {
  if (originId === SUBGRAPH_INPUT) return throughSubgraphInput(scope, originSlot, type, reader);
  const node = scope.graph.nodes.get(originId);
  return node && { side: 'output', scope, node, slot: originSlot, type };
}

/** Out of a subgraph: to the input of its instance, or to the value the instance holds for that input. */
function throughSubgraphInput(
  inside: Scope,
  position: number,
  type: string,
  reader: NodeReader,
): Step {
  const { graph, host } = inside;
  if (!host) return undefined;
  const { node, scope } = host;
  const name = graph.inputs[position]?.name;
  const byName = node.inputs.findIndex((input) => input.name === name);
  const slot = node.inputs[position]?.name === name ? position : byName;
  if (linkTo(scope.graph, node, slot)) return { side: 'input', scope, node, slot, type };
  const value = promotedValue(inside, position, reader);
  return value && { kind: 'value', value, isPrimitive: false };
}

/** A bypassed node passes on the input at the same position if its type fits, else the first of exactly this type, else the first that fits. */
function throughBypassed(end: NodeEnd): Step {
  const { node, slot, type } = end;
  const outputType = node.outputTypes[slot] ?? '*';
  const fits = (index: number) => {
    const input = node.inputs[index];
    return (
      input !== undefined && typesOverlap(input.type, outputType) && typesOverlap(input.type, type)
    );
  };
  const inputAt = (index: number): Step =>
    index < 0 ? undefined : { ...end, side: 'input', slot: index };
  if (type === '*') return inputAt(node.inputs.length > slot ? slot : 0);
  if (fits(slot)) return inputAt(slot);
  const exact = node.inputs.findIndex((input) => input.type === type);
  return inputAt(exact >= 0 ? exact : node.inputs.findIndex((_, index) => fits(index)));
}

function typesOverlap(a: string, b: string): boolean {
  const types = (list: string) => list.toLowerCase().split(',');
  return a === '*' || b === '*' || types(a).some((type) => types(b).includes(type));
}

/** From a reader to the writer of the same name. Writers in the reader's own graph come first, then those in the graphs around it. */
function toWriter(end: NodeEnd): Step {
  const nameIn = ({ values }: EditorNode) => values?.items()[0]?.text;
  const name = nameIn(end.node);
  for (let scope: Scope | undefined = end.scope; scope; scope = scope.host?.scope) {
    const node = [...scope.graph.nodes.values()].find(
      (one) => WRITES_NAME.has(one.type) && nameIn(one) === name,
    );
    if (node) return { ...end, side: 'input', scope, node, slot: 0 };
  }
  return undefined;
}
