import { JsonText } from '../../json.ts';
import {
  readEditorNode,
  SUBGRAPH_INPUT,
  SUBGRAPH_OUTPUT,
  unconvertible,
  type EditorFile,
  type EditorGraph,
  type EditorLink,
  type EditorNode,
} from './editor-file.ts';

/**
 * Group nodes, which subgraphs have replaced. A node of the type `workflow>NAME` (or `workflow/NAME`) stands for the nodes
 * in `extra.groupNodes.NAME`. Each such node becomes an instance of a subgraph of its own, because it holds all the values
 * of the nodes within it.
 */
export function expandGroupNodes(file: EditorFile, groups: JsonText | undefined): EditorFile {
  if (!groups) return file;
  const subgraphs = new Map<string, EditorGraph>();
  const expand = (graph: EditorGraph, path: string, outer: readonly string[]): EditorGraph => ({
    ...graph,
    nodes: new Map(
      Array.from(graph.nodes, ([nodeId, node]) => {
        const name = groupName(node.type);
        const group = name === undefined ? undefined : groups.get(name);
        if (name === undefined || !group) return [nodeId, node];
        if (outer.includes(name)) throw unconvertible([`Group node ${name} is within itself`]);
        if (subgraphs.size >= MAX_GROUPS) {
          throw unconvertible([`It has more than ${MAX_GROUPS} group nodes`]);
        }
        const type = `${node.type} at ${path}${nodeId}`;
        const inner = groupGraph(node, group);
        subgraphs.set(type, inner); // keeps its place while the groups within it are counted
        subgraphs.set(type, expand(inner, `${path}${nodeId}:`, [...outer, name]));
        return [nodeId, { ...node, type, values: undefined }];
      }),
    ),
  });
  for (const [type, graph] of file.subgraphs) subgraphs.set(type, expand(graph, `${type}:`, []));
  return { graph: expand(file.graph, '', []), subgraphs };
}

const MAX_GROUPS = 1000;

/** The name of a group node's definition; undefined for other types. */
export function groupName(type: string): string | undefined {
  return /^workflow[>/](.+)$/s.exec(type)?.[1];
}

/** The inside of a group node. Its nodes are numbered from 0, and ComfyUI sees node 1 of group node 3 as `3:1`. */
function groupGraph(instance: EditorNode, group: JsonText): EditorGraph {
  const definitions = (group.get('nodes')?.items() ?? []).map((definition, index) => ({
    ...readEditorNode(definition),
    nodeId: String(index),
  }));
  const nodes = shareValues(instance, definitions);
  const inner = innerLinks(group);
  const { linked, links, inputs } = linkInputs(instance, nodes, inner, group);
  return {
    nodes: new Map(linked.map((node) => [node.nodeId, node])),
    links: new Map([...inner, ...links, ...outputLinks(nodes, inner, group)]),
    inputs,
  };
}

type Links = ReadonlyMap<string, EditorLink>;

/** Links between the nodes of the group: `[origin, slot, target, slot, ...]`. */
function innerLinks(group: JsonText): Links {
  const rows = group.get('links')?.items() ?? [];
  return new Map(
    rows.map((row, index) => {
      const [originId = '', originSlot, targetId = '', targetSlot] = row
        .items()
        .map(({ text }) => text);
      return [
        `inner ${index}`,
        { originId, originSlot: Number(originSlot), targetId, targetSlot: Number(targetSlot) },
      ];
    }),
  );
}

/**
 * Inputs without an inner link are inputs of the group node. Those with a widget keep their name there; the others come in
 * the order of the nodes.
 */
function linkInputs(
  instance: EditorNode,
  nodes: readonly EditorNode[],
  inner: Links,
  group: JsonText,
) {
  const innerLinkTo = new Map(
    Array.from(inner, ([linkId, link]) => [`${link.targetId} ${link.targetSlot}`, linkId]),
  );
  const plain = instance.inputs.filter(({ isWidget }) => !isWidget);
  const links = new Map<string, EditorLink>();
  const inputs: { name: string; linkIds: string[] }[] = [];
  const linked = nodes.map((node): EditorNode => {
    const slots = node.inputs.map((slot, targetSlot) => {
      const innerLinkId = innerLinkTo.get(`${node.nodeId} ${targetSlot}`);
      if (innerLinkId !== undefined) return { ...slot, linkId: innerLinkId };
      const isHidden = !slot.isWidget && hides(group, 'input', node, slot.name);
      const outside = slot.isWidget
        ? instance.inputs.find(({ name }) => namesInput(name, slot.name, node))
        : isHidden
          ? undefined
          : plain.shift();
      if (!outside) return { ...slot, linkId: undefined };
      const linkId = `input ${inputs.length}`;
      const originSlot = inputs.push({ name: outside.name, linkIds: [linkId] }) - 1;
      links.set(linkId, {
        originId: SUBGRAPH_INPUT,
        originSlot,
        targetId: node.nodeId,
        targetSlot,
      });
      return { ...slot, linkId };
    });
    return { ...node, inputs: slots };
  });
  return { linked, links, inputs };
}

/** Outputs without an inner link, or listed as `external`, are outputs of the group node, in the order of the nodes. */
function outputLinks(nodes: readonly EditorNode[], inner: Links, group: JsonText): Links {
  const used = new Set(
    Array.from(inner.values(), ({ originId, originSlot }) => `${originId} ${originSlot}`),
  );
  for (const row of group.get('external')?.items() ?? []) {
    const [nodeId, slot] = row.items();
    used.delete(`${nodeId?.text} ${slot?.text}`);
  }
  const outputs = nodes.flatMap((node) =>
    [...node.outputTypes.keys()]
      .filter((slot) => !used.has(`${node.nodeId} ${slot}`))
      .filter((slot) => !hides(group, 'output', node, String(slot)))
      .map((slot) => ({ originId: node.nodeId, originSlot: slot })),
  );
  return new Map(
    outputs.map((origin, index) => [
      `output ${index}`,
      { ...origin, targetId: SUBGRAPH_OUTPUT, targetSlot: index },
    ]),
  );
}

/** Whether the user has hidden an input or output of an inner node. */
function hides(group: JsonText, kind: string, node: EditorNode, name: string): boolean {
  const settings = group.get('config')?.get(node.nodeId)?.get(kind)?.get(name);
  return settings?.get('visible')?.value() === false;
}

/** A group node has the input of an inner node under its name, or with the node's title before it if the name was taken. */
function namesInput(outer: string, inner: string, { title, type }: EditorNode): boolean {
  return outer === inner || outer === `${title ?? type} ${inner}`;
}

/** A group node saves the values of its nodes one after the other. */
function shareValues(instance: EditorNode, nodes: readonly EditorNode[]): EditorNode[] {
  const saved = instance.values?.items() ?? [];
  if (saved.length === 0) return [...nodes];
  let position = 0;
  const shared = nodes.map((node) => {
    const count = node.values?.items().length ?? 0;
    const own = saved.slice(position, (position += count)).map(({ text }) => text);
    return count === 0 ? node : { ...node, values: JsonText.parse(`[${own.join(',')}]`) };
  });
  if (position === saved.length) return shared;
  throw unconvertible([
    `Node ${instance.nodeId}: it has ${saved.length} values, but the nodes of the group node "${groupName(instance.type) ?? ''}" have ${position}`,
  ]);
}
