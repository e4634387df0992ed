import type { JsonText } from '../../json.ts';
import { textOf } from '../graph.ts';

/** The format the editor saves (`schema/comfyWorkflow` in ComfyUI's frontend), read as far as a conversion needs it. */
export interface EditorFile {
  readonly graph: EditorGraph;
  /** Definitions of subgraphs; a node whose type is one of these ids is an instance of it. */
  readonly subgraphs: ReadonlyMap<string, EditorGraph>;
}

export interface EditorGraph {
  readonly nodes: ReadonlyMap<string, EditorNode>;
  readonly links: ReadonlyMap<string, EditorLink>;
  /** What a subgraph takes and gives, by name; the workflow itself has none. */
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
}

export interface EditorNode {
  readonly nodeId: string;
  readonly type: string;
  readonly mode: number;
  readonly title: string | undefined;
  readonly inputs: readonly EditorSlot[];
  readonly outputTypes: readonly string[];
  /** Values of widgets: a list in the order of the widgets, or an object by name. */
  readonly values: JsonText | undefined;
  /** The same by name, where the editor is new enough to write it. */
  readonly namedValues: JsonText | undefined;
  /** Which widgets of inner nodes an instance of a subgraph shows: `[inner node id, widget]`. */
  readonly shownWidgets: readonly (readonly [string, string])[];
}

interface EditorSlot {
  readonly name: string;
  readonly type: string;
  readonly linkId: string | undefined;
  /** The slot belongs to a widget: what is linked to it wins over the widget's value. */
  readonly isWidget: boolean;
}

interface EditorLink {
  readonly originId: string;
  readonly originSlot: number;
  readonly targetId: string;
  readonly targetSlot: number;
}

/** The ends of links at the border of a subgraph. */
export const SUBGRAPH_INPUT = '-10';
export const SUBGRAPH_OUTPUT = '-20';

/** How a node is switched. */
export const MUTED = 2;
export const BYPASSED = 4;

export function readEditorFile(file: JsonText): EditorFile {
  const definitions = file.get('definitions')?.get('subgraphs')?.items() ?? [];
  return {
    graph: readEditorGraph(file),
    subgraphs: new Map(
      definitions.map((definition) => [
        textOf(definition.get('id')) ?? '',
        readEditorGraph(definition),
      ]),
    ),
  };
}

function readEditorGraph(graph: JsonText): EditorGraph {
  const names = (key: string) =>
    (graph.get(key)?.items() ?? []).map((slot) => textOf(slot.get('name')) ?? '');
  const nodes = (graph.get('nodes')?.items() ?? []).map(readNode);
  return {
    nodes: new Map(nodes.map((node) => [node.nodeId, node])),
    links: new Map((graph.get('links')?.items() ?? []).map(readLink)),
    inputNames: names('inputs'),
    outputNames: names('outputs'),
  };
}

function readNode(node: JsonText): EditorNode {
  const shown = node.get('properties')?.get('proxyWidgets')?.items() ?? [];
  return {
    nodeId: idOf(node.get('id')),
    type: textOf(node.get('type')) ?? '',
    mode: Number(node.get('mode')?.text ?? 0),
    title: textOf(node.get('title')),
    inputs: (node.get('inputs')?.items() ?? []).map(readSlot),
    outputTypes: (node.get('outputs')?.items() ?? []).map((slot) => typeOf(slot.get('type'))),
    values: node.get('widgets_values'),
    namedValues: node.get('widgets_values_named'),
    shownWidgets: shown.map((pair) => {
      const [innerId, widget] = pair.items();
      return [idOf(innerId), textOf(widget) ?? ''] as const;
    }),
  };
}

function readSlot(slot: JsonText): EditorSlot {
  const link = slot.get('link');
  return {
    name: textOf(slot.get('name')) ?? '',
    type: typeOf(slot.get('type')),
    linkId: link && link.kind !== 'null' ? idOf(link) : undefined,
    isWidget: slot.get('widget')?.kind === 'object',
  };
}

/** `[id, origin, slot, target, slot, type]`, or an object with these names, as subgraphs and newer files have it. */
function readLink(link: JsonText): readonly [string, EditorLink] {
  const names = ['id', 'origin_id', 'origin_slot', 'target_id', 'target_slot'];
  const fields = link.kind === 'array' ? link.items() : names.map((name) => link.get(name));
  const [linkId, originId, originSlot, targetId, targetSlot] = fields.map(idOf);
  return [
    linkId ?? '',
    {
      originId: originId ?? '',
      originSlot: Number(originSlot),
      targetId: targetId ?? '',
      targetSlot: Number(targetSlot),
    },
  ];
}

/** Ids are numbers or texts, and the same id may be written either way. */
function idOf(id: JsonText | undefined): string {
  return textOf(id) ?? id?.text ?? '';
}

/** Old files have the choices of a combo for its type, and `0` for any. */
function typeOf(type: JsonText | undefined): string {
  if (type?.kind === 'array') return 'COMBO';
  return textOf(type) ?? '*';
}
