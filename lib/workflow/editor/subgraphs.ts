import type { JsonText } from '../../json.ts';
import {
  BYPASSED,
  MUTED,
  unconvertible,
  type EditorFile,
  type EditorGraph,
  type EditorNode,
} from './editor-file.ts';
import { isVirtual } from './virtual-nodes.ts';
import { isControlWord } from './widgets.ts';

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

/** The returned function throws `workflow.unconvertible` for a subgraph within itself. */
export function createEnter({ subgraphs }: EditorFile): Enter {
  return (node, scope) => {
    const graph = subgraphs.get(node.type);
    if (!graph) return undefined;
    for (let outer: Scope | undefined = scope; outer; outer = outer.host?.scope) {
      if (outer.host?.node.type === node.type)
        throw unconvertible([`Subgraph ${node.type} is within itself`]);
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

/**
 * The value that an instance of a subgraph holds for one of its inputs with a widget. Undefined if it holds none; then the
 * inner node keeps its own value.
 */
export function instanceValue(instance: EditorNode, inputName: string): JsonText | undefined {
  const named = instance.namedValues?.get(inputName);
  if (named) return named;
  const values = instance.values?.items() ?? [];
  const value = hasValuePerPromotedWidget(instance, values)
    ? values[
        instance.promotedWidgets.findIndex(([id, widget]) => id === '-1' && widget === inputName)
      ]
    : valueByPosition(instance, values, inputName);
  return value?.kind === 'null' ? undefined : value;
}

/** The values that an instance holds for the promoted widgets of one inner node, by widget name. */
export function promotedValues(
  instance: EditorNode,
  innerId: string,
): ReadonlyMap<string, JsonText> {
  const values = instance.values?.items() ?? [];
  if (!hasValuePerPromotedWidget(instance, values)) return new Map();
  return new Map(
    instance.promotedWidgets.flatMap(([promotedId, widget], index) => {
      const value = values[index];
      return promotedId === innerId && value && value.kind !== 'null'
        ? [[widget, value] as const]
        : [];
    }),
  );
}

/** Some files save one value for each promoted widget, others one for each input with a widget. */
function hasValuePerPromotedWidget({ promotedWidgets }: EditorNode, values: readonly JsonText[]) {
  return promotedWidgets.length > 0 && promotedWidgets.length === values.length;
}

/** Some versions of the editor save a control word after a seed. It belongs to no input and is skipped. */
function valueByPosition(
  { inputs }: EditorNode,
  values: readonly JsonText[],
  inputName: string,
): JsonText | undefined {
  const widgets = inputs.filter(({ isWidget }) => isWidget);
  const own =
    values.length > widgets.length ? values.filter((value) => !isControlWord(value)) : values;
  return own[widgets.findIndex(({ name }) => name === inputName)];
}
