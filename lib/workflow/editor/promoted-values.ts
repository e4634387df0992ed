import type { JsonText } from '../../json.ts';
import type { InputInfo, NodeInfo } from '../node-info.ts';
import { SUBGRAPH_INPUT, unconvertible, type EditorGraph, type EditorNode } from './editor-file.ts';
import { inputFit, isControlWord, type WidgetValues } from './saved-values.ts';
import type { Enter, Scope } from './subgraphs.ts';

/**
 * An instance of a subgraph shows widgets of the nodes within it, and holds values for them. A value goes to everything that
 * the subgraph's input is linked to, with or without a widget. It is sent as it is: prompts are not rolled.
 */

/** Answers questions about nodes of the file. */
export interface NodeReader {
  readonly enter: Enter;
  readonly infoOf: (type: string) => NodeInfo | undefined;
  readonly savedValuesOf: (node: EditorNode) => WidgetValues | undefined;
}

/** The value of a subgraph's input that nothing is linked to from outside. Undefined if no widget is behind the input. */
export function promotedValue(
  scope: Scope,
  position: number,
  reader: NodeReader,
): JsonText | undefined {
  const { graph, host } = scope;
  const inner = innerWidget(graph, position);
  const name = graph.inputs[position]?.name;
  if (!host || !inner || name === undefined) return undefined;
  return (
    host.node.namedValues?.get(name) ??
    valueFromAround(host, name) ??
    notNull(heldValues(scope, host.node, reader).get(position)) ??
    ownValue(scope, inner, reader)
  );
}

/** The values that an instance holds for the widgets of one inner node, by widget name. */
export function promotedValues(
  instance: EditorNode,
  innerId: string,
): ReadonlyMap<string, JsonText> {
  const values = instance.values?.items() ?? [];
  if (!hasValuePerPromotedWidget(instance, values)) return new Map();
  return new Map(
    instance.promotedWidgets.flatMap(([promotedId, widget], index) => {
      const value = notNull(values[index]);
      return promotedId === innerId && value ? [[widget, value] as const] : [];
    }),
  );
}

/** The first widget that the subgraph's input is linked to. It decides about the value of all the others. */
interface InnerWidget {
  readonly node: EditorNode;
  readonly widget: string;
}

function innerWidget(graph: EditorGraph, position: number): InnerWidget | undefined {
  const listed = graph.inputs[position]?.linkIds ?? [];
  const links =
    listed.length > 0
      ? listed.map((linkId) => graph.links.get(linkId))
      : [...graph.links.values()].filter(
          (link) => link.originId === SUBGRAPH_INPUT && link.originSlot === position,
        );
  for (const link of links) {
    const node = link && graph.nodes.get(link.targetId);
    const slot = link && node?.inputs[link.targetSlot];
    if (node && slot?.isWidget) return { node, widget: slot.name };
  }
  return undefined;
}

/** An instance within an instance can get its value from the outermost one. */
function valueFromAround({ node, scope }: NonNullable<Scope['host']>, name: string) {
  return scope.host && promotedValues(scope.host.node, node.nodeId).get(name);
}

function ownValue(
  scope: Scope,
  { node, widget }: InnerWidget,
  reader: NodeReader,
): JsonText | undefined {
  const inside = reader.enter(node, scope);
  if (!inside) return reader.savedValuesOf(node)?.get(widget);
  const position = inside.graph.inputs.findIndex(({ name }) => name === widget);
  return promotedValue(inside, position, reader);
}

/** Some files save one value for each promoted widget, others one for each input with a widget. */
function hasValuePerPromotedWidget({ promotedWidgets }: EditorNode, values: readonly JsonText[]) {
  return promotedWidgets.length > 0 && promotedWidgets.length === values.length;
}

/** The saved values of an instance by the position of the subgraph's input. */
function heldValues(
  scope: Scope,
  instance: EditorNode,
  reader: NodeReader,
): ReadonlyMap<number, JsonText> {
  const held = heldByScope.get(scope) ?? readHeldValues(scope, instance, reader);
  heldByScope.set(scope, held);
  return held;
}

/** Read once for an instance, not once for each of its inputs. */
const heldByScope = new WeakMap<Scope, ReadonlyMap<number, JsonText>>();

function readHeldValues(
  scope: Scope,
  instance: EditorNode,
  reader: NodeReader,
): ReadonlyMap<number, JsonText> {
  const { graph } = scope;
  const values = instance.values?.items() ?? [];
  const widgets = graph.inputs.flatMap(({ name }, position) => {
    const inner = innerWidget(graph, position);
    return inner ? [{ name, position, inner }] : [];
  });
  if (hasValuePerPromotedWidget(instance, values)) {
    return new Map(
      widgets.flatMap(({ name, position, inner }) => {
        const index = instance.promotedWidgets.findIndex(
          ([id, widget]) =>
            (id === '-1' && widget === name) ||
            (id === inner.node.nodeId && widget === inner.widget),
        );
        const value = values[index];
        return value ? [[position, value] as const] : [];
      }),
    );
  }
  // Newer editors save a value for each input of the subgraph that has a widget, and leave slots without a link out of the
  // instance. Older ones save a value for each such slot of the instance, some with control words behind seeds.
  const bySlot = instance.inputs.flatMap(({ name, isWidget }) =>
    isWidget ? widgets.filter((widget) => widget.name === name) : [],
  );
  const words = values.filter((value) => !isControlWord(value));
  const isLeftOver = widgets.length < words.length; // of widgets that the subgraph no longer has
  for (const [order, saved] of [
    [widgets, values],
    [widgets, words],
    [bySlot, values],
    [bySlot, words],
  ] as const) {
    const pairs = order.map((widget, index) => ({ ...widget, value: saved[index] }));
    const fits = pairs.every(({ inner, value }) => {
      const held = notNull(value);
      const input = held && innerInput(scope, inner, reader);
      return !held || !input || inputFit(input, held) !== 'misfit';
    });
    if (fits && (isLeftOver || order.length >= saved.length)) {
      return new Map(pairs.flatMap(({ position, value }) => (value ? [[position, value]] : [])));
    }
  }
  throw unconvertible([
    `Node ${instance.nodeId}: the values of the subgraph do not fit the widgets within it`,
  ]);
}

/** The input behind a widget, also several subgraphs deeper. Undefined if the class does not declare it by this name. */
function innerInput(
  scope: Scope,
  { node, widget }: InnerWidget,
  reader: NodeReader,
): InputInfo | undefined {
  const inside = reader.enter(node, scope);
  if (!inside) return reader.infoOf(node.type)?.inputs.find(({ name }) => name === widget);
  const position = inside.graph.inputs.findIndex(({ name }) => name === widget);
  const inner = innerWidget(inside.graph, position);
  return inner && innerInput(inside, inner, reader);
}

function notNull(value: JsonText | undefined): JsonText | undefined {
  return value?.kind === 'null' ? undefined : value;
}
