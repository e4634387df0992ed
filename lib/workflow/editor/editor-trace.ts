import { WorkerError } from '../../errors.ts';
import type { JsonText } from '../../json.ts';
import {
  BYPASSED,
  MUTED,
  SUBGRAPH_INPUT,
  SUBGRAPH_OUTPUT,
  type EditorGraph,
  type EditorNode,
} from './editor-file.ts';
import { GIVES_VALUE, PASSES_ON, READS_NAME, WRITES_NAME } from './editor-only.ts';
import { promotedValue } from './promoted-widgets.ts';

/** A graph as it is placed: the workflow itself, or one instance of a subgraph. */
export interface Scope {
  readonly graph: EditorGraph;
  /** Ids of the instances it is within, joined by colons with one at the end: ComfyUI sees node 5 in there as `12:5`. */
  readonly prefix: string;
  /** The instance it belongs to, and where that is placed. */
  readonly host?: { readonly node: EditorNode; readonly scope: Scope };
}

/** Where the value of an input comes from in the end. */
export type Source =
  | { readonly kind: 'output'; readonly nodeId: string; readonly output: number }
  | { readonly kind: 'value'; readonly value: JsonText }
  /** From a node that is muted: the input gets nothing at all, not even the value of its widget. */
  | { readonly kind: 'muted' };

/** One end of a node: an input that wants something of a type, or an output that gives it. */
interface Place {
  readonly side: 'input' | 'output';
  readonly scope: Scope;
  readonly node: EditorNode;
  readonly slot: number;
  readonly type: string;
}

/** Enters an instance of a subgraph; undefined when the node is none. */
export type Enter = (node: EditorNode, scope: Scope) => Scope | undefined;

/**
 * Follows an input back to what feeds it: through reroutes, bypassed nodes, and the borders of subgraphs. Undefined when
 * nothing does. Goes step by step, so that a long way needs no deep stack.
 * @throws WorkerError `workflow.unconvertible` when the way leads round in a circle.
 */
export function traceInput(
  { scope, node, slot }: Pick<Place, 'scope' | 'node' | 'slot'>,
  enter: Enter,
): Source | undefined {
  const seen = new Set<string>();
  const type = node.inputs[slot]?.type ?? '*';
  let at: Place | Source | undefined = { side: 'input', scope, node, slot, type };
  while (at && 'side' in at) {
    const key = `${at.side} ${at.slot} of ${at.scope.prefix}${at.node.nodeId}`;
    if (seen.has(key)) throw circular(at);
    seen.add(key);
    at = at.side === 'input' ? beforeInput(at) : beforeOutput(at, enter);
  }
  return at;
}

/** From an input along its link; at the border of a subgraph, to the input of the instance. */
function beforeInput(place: Place): Place | Source | undefined {
  const { scope, node, slot, type } = place;
  const link = scope.graph.links.get(node.inputs[slot]?.linkId ?? '');
  if (!link) return undefined;
  if (link.originId === SUBGRAPH_INPUT) return beforeBorder(scope, link.originSlot, type);
  const origin = scope.graph.nodes.get(link.originId);
  return origin && { side: 'output', scope, node: origin, slot: link.originSlot, type };
}

function beforeBorder(
  { graph, host }: Scope,
  border: number,
  type: string,
): Place | Source | undefined {
  if (!host) return undefined;
  const { node, scope } = host;
  const name = graph.inputNames[border];
  const byName = node.inputs.findIndex((input) => input.name === name);
  const slot = node.inputs[border]?.name === name ? border : byName;
  if (node.inputs[slot]?.linkId !== undefined) return { side: 'input', scope, node, slot, type };
  const value = promotedValue(node, name ?? '');
  return value && { kind: 'value', value };
}

/** From an output to the input it passes on, or to the end of the way. */
function beforeOutput(place: Place, enter: Enter): Place | Source | undefined {
  const { scope, node, slot } = place;
  if (node.mode === MUTED) return { kind: 'muted' };
  if (node.mode === BYPASSED) return beforeBypass(place);
  const inner = enter(node, scope);
  if (inner) return beforeEnd(inner, place);
  if (GIVES_VALUE.has(node.type)) return firstValue(node);
  if (READS_NAME.has(node.type)) return whereNamed(place);
  if (PASSES_ON.has(node.type)) return { ...place, side: 'input' };
  return { kind: 'output', nodeId: scope.prefix + node.nodeId, output: slot };
}

/** Into a subgraph, to what its output is linked to. */
function beforeEnd(inner: Scope, { slot, type }: Place): Place | Source | undefined {
  const links = [...inner.graph.links.values()];
  const link = links.find((one) => one.targetId === SUBGRAPH_OUTPUT && one.targetSlot === slot);
  if (!link) return undefined;
  if (link.originId === SUBGRAPH_INPUT) return beforeBorder(inner, link.originSlot, type);
  const origin = inner.graph.nodes.get(link.originId);
  return origin && { side: 'output', scope: inner, node: origin, slot: link.originSlot, type };
}

/** The input at the same place if its type fits, else the first of just this type, else the first that fits. */
function beforeBypass(place: Place): Place | undefined {
  const { node, slot, type } = place;
  const outputType = node.outputTypes[slot] ?? '*';
  const fits = (index: number) => {
    const input = node.inputs[index];
    return input !== undefined && typesMeet(input.type, outputType) && typesMeet(input.type, type);
  };
  const passed = (index: number): Place | undefined =>
    index < 0 ? undefined : { ...place, side: 'input', slot: index };
  if (type === '*') return passed(node.inputs.length > slot ? slot : 0);
  if (fits(slot)) return passed(slot);
  const exact = node.inputs.findIndex((input) => input.type === type);
  return passed(exact >= 0 ? exact : node.inputs.findIndex((_, index) => fits(index)));
}

function typesMeet(a: string, b: string): boolean {
  const types = (list: string) => list.toLowerCase().split(',');
  return a === '*' || b === '*' || types(a).some((type) => types(b).includes(type));
}

/** A name is looked for where it is read, then in the graphs around it. */
function whereNamed(place: Place): Place | undefined {
  const name = firstText(place.node);
  for (let scope: Scope | undefined = place.scope; scope; scope = scope.host?.scope) {
    const writers = [...scope.graph.nodes.values()].filter(({ type }) => WRITES_NAME.has(type));
    const node = writers.find((writer) => firstText(writer) === name);
    if (node) return { ...place, side: 'input', scope, node, slot: 0 };
  }
  return undefined;
}

function firstValue({ values }: EditorNode): Source | undefined {
  const [value] = values?.items() ?? [];
  return value && { kind: 'value', value };
}

const firstText = ({ values }: EditorNode) => values?.items()[0]?.text;

function circular({ scope, node }: Place): WorkerError {
  return new WorkerError(
    'workflow.unconvertible',
    `Node ${scope.prefix}${node.nodeId} (${node.type}) is linked to itself by way of reroutes, bypassed nodes or subgraphs`,
  );
}
