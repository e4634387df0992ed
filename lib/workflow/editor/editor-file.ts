import { WorkerError } from '../../errors.ts';
import type { JsonText } from '../../json.ts';

/**
 * The format the editor saves (`schema/comfyWorkflow` in ComfyUI's frontend), read as far as the conversion needs it.
 * A field with an unexpected value is read as missing.
 */
export interface EditorFile {
  readonly graph: EditorGraph;
  /** Subgraphs by id. A node whose type is one of these ids is an instance of that subgraph. */
  readonly subgraphs: ReadonlyMap<string, EditorGraph>;
}

export interface EditorGraph {
  readonly nodes: ReadonlyMap<string, EditorNode>;
  readonly links: ReadonlyMap<string, EditorLink>;
  /** The inputs of a subgraph, with the links from them to inner nodes. Empty for the workflow itself. */
  readonly inputs: readonly { readonly name: string; readonly linkIds: readonly string[] }[];
}

export interface EditorNode {
  readonly nodeId: string;
  readonly type: string;
  /** How the node is switched: {@link MUTED}, {@link BYPASSED}, anything else means that it runs. */
  readonly mode: number;
  readonly title: string | undefined;
  readonly inputs: readonly EditorSlot[];
  readonly outputTypes: readonly string[];
  /** Widget values: an array in the order of the widgets, or an object by name. */
  readonly values: JsonText | undefined;
  /** Widget values by name. Only newer editors write them. */
  readonly namedValues: JsonText | undefined;
  /** Other settings of the node, by name. */
  readonly properties: JsonText | undefined;
  /** Widgets of inner nodes that an instance of a subgraph shows: `[inner node id, widget name]`. */
  readonly promotedWidgets: readonly (readonly [innerId: string, widget: string])[];
}

interface EditorSlot {
  readonly name: string;
  readonly type: string;
  readonly linkId: string | undefined;
  /** The slot belongs to a widget. If it is linked, the link wins over the widget's value. */
  readonly isWidget: boolean;
}

export interface EditorLink {
  readonly originId: string;
  readonly originSlot: number;
  readonly targetId: string;
  readonly targetSlot: number;
}

export const MUTED = 2;
export const BYPASSED = 4;

/** Node ids that stand for the border of a subgraph in its links. */
export const SUBGRAPH_INPUT = '-10';
export const SUBGRAPH_OUTPUT = '-20';

export function readEditorFile(file: JsonText): EditorFile {
  const definitions = file.get('definitions')?.get('subgraphs')?.items() ?? [];
  const subgraphs = new Map(
    definitions.map((one) => [one.get('id')?.asString() ?? '', readEditorGraph(one)]),
  );
  return { graph: readEditorGraph(file), subgraphs };
}

function readEditorGraph(graph: JsonText): EditorGraph {
  const inputs = (graph.get('inputs')?.items() ?? []).map((slot) => ({
    name: slot.get('name')?.asString() ?? '',
    linkIds: (slot.get('linkIds')?.items() ?? []).map(toId),
  }));
  const nodes = (graph.get('nodes')?.items() ?? []).map(readEditorNode);
  return withBroadcasts(graph, {
    nodes: new Map(nodes.map((node) => [node.nodeId, node])),
    links: new Map((graph.get('links')?.items() ?? []).map(readLink)),
    inputs,
  });
}

export function readEditorNode(node: JsonText): EditorNode {
  const promoted = node.get('properties')?.get('proxyWidgets')?.items() ?? [];
  return {
    nodeId: toId(node.get('id')),
    type: node.get('type')?.asString() ?? '',
    mode: Number(node.get('mode')?.text ?? 0),
    title: node.get('title')?.asString(),
    inputs: (node.get('inputs')?.items() ?? []).map((slot) => {
      const link = slot.get('link');
      return {
        name: slot.get('name')?.asString() ?? '',
        type: toSlotType(slot.get('type')),
        linkId: link && link.kind !== 'null' ? toId(link) : undefined,
        isWidget: slot.get('widget')?.kind === 'object',
      };
    }),
    outputTypes: (node.get('outputs')?.items() ?? []).map((slot) => toSlotType(slot.get('type'))),
    values: node.get('widgets_values'),
    namedValues: node.get('widgets_values_named'),
    properties: node.get('properties'),
    promotedWidgets: promoted.map((pair) => {
      const [innerId, widget] = pair.items();
      return [toId(innerId), (widget?.asString() ?? '').replace(NESTED_PREFIX, '')] as const;
    }),
  };
}

/** Old files name a widget several subgraphs deeper with the ids on the way to it: `6: 3: text`. */
const NESTED_PREFIX = /^(\s*\d+\s*:\s*)+/;

/** `[id, origin, slot, target, slot, type]`, or in subgraphs and newer files an object with these names. */
function readLink(link: JsonText): readonly [linkId: string, EditorLink] {
  const names = ['id', 'origin_id', 'origin_slot', 'target_id', 'target_slot'];
  const fields = link.kind === 'array' ? link.items() : names.map((name) => link.get(name));
  const [linkId = '', originId = '', originSlot, targetId = '', targetSlot] = fields.map(toId);
  return [
    linkId,
    { originId, originSlot: Number(originSlot), targetId, targetSlot: Number(targetSlot) },
  ];
}

/**
 * Links that the nodes of cg-use-everywhere make when the editor submits the workflow. The file lists them in
 * `extra.ue_links`. An input that is linked already keeps its link.
 */
function withBroadcasts(text: JsonText, graph: EditorGraph): EditorGraph {
  const broadcasts = text.get('extra')?.get('ue_links')?.items() ?? [];
  if (broadcasts.length === 0) return graph;
  const nodes = new Map(graph.nodes);
  const links = new Map(graph.links);
  for (const [index, broadcast] of broadcasts.entries()) {
    const targetId = toId(broadcast.get('downstream'));
    const originId = toId(broadcast.get('upstream'));
    const targetSlot = Number(broadcast.get('downstream_slot')?.text);
    const originSlot = Number(broadcast.get('upstream_slot')?.text);
    const target = nodes.get(targetId);
    const slot = target?.inputs[targetSlot];
    const hasOrigin = nodes.has(originId) || originId === SUBGRAPH_INPUT;
    if (!target || !slot || slot.linkId !== undefined || !hasOrigin) continue;
    const linkId = `ue ${index}`;
    links.set(linkId, { originId, originSlot, targetId, targetSlot });
    nodes.set(targetId, { ...target, inputs: target.inputs.with(targetSlot, { ...slot, linkId }) });
  }
  return { ...graph, nodes, links };
}

/** Ids are numbers or texts. One file may write the same id both ways. */
function toId(id: JsonText | undefined): string {
  return id?.asString() ?? id?.text ?? '';
}

/** Old files have a combo's choices in place of its type, and `0` for any type. */
function toSlotType(type: JsonText | undefined): string {
  if (type?.kind === 'array') return 'COMBO';
  return type?.asString() ?? '*';
}

/** The error of a conversion that is not possible, with all the reasons. */
export function unconvertible(problems: readonly string[]): WorkerError {
  const lines = problems.map((problem) => `\n• ${problem}`).join('');
  return new WorkerError(
    'workflow.unconvertible',
    `The workflow is in the editor's format and cannot be converted:${lines}\nOr send what Workflow > Export (API) in ComfyUI's menu writes`,
    { details: problems },
  );
}
