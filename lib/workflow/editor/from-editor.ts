import { JsonText, objectText } from '../../json.ts';
import { readNodeInfo, type NodeInfo, type NodeInfos } from '../node-info.ts';
import { readEditorFile, unconvertible } from './editor-file.ts';
import { traceInput } from './links.ts';
import { createEnter, promotedValues, unfold, type Enter, type PlacedNode } from './subgraphs.ts';
import { isVirtual } from './virtual-nodes.ts';
import { widgetValues } from './widgets.ts';

/**
 * Conversion of a workflow from the editor's format to the API format.
 *
 *     editor-file    parses the file: graphs, nodes, slots, links. New places where a file can be hidden (PNG, WebP,
 *                    MP4 metadata) are opened before this step and end here as JSON text
 *     subgraphs      unfolds instances of subgraphs, and finds the values that an instance holds for its inner widgets;
 *                    group nodes would be unfolded here, too
 *     widgets        reads a node's widget values, saved by name or by position; inputs that depend on other values
 *                    (dynamic combos and groups) belong here
 *     links          follows each input back to the node or value that feeds it
 *     virtual-nodes  lists the node types that only the editor knows; new packs are added there
 *
 * This file puts the steps together: read, unfold, then write each node with its values and links.
 */

/** The node classes whose descriptions {@link fromEditor} needs. */
export function editorClassTypes(file: JsonText): string[] {
  const { graph, subgraphs } = readEditorFile(file);
  const types = [graph, ...subgraphs.values()]
    .flatMap(({ nodes }) => [...nodes.values()])
    .map(({ type }) => type)
    .filter((type) => type !== '' && !isVirtual(type) && !subgraphs.has(type));
  return [...new Set(types)];
}

/**
 * Converts as the editor's own Workflow > Export (API) does: muted nodes are left out, bypassed nodes and reroutes are
 * bridged, subgraphs are unfolded. Values keep their text.
 * @throws WorkerError `workflow.unconvertible` with all the reasons.
 */
export function fromEditor(file: JsonText, infos: NodeInfos): JsonText {
  const editor = readEditorFile(file);
  const enter = createEnter(editor);
  const placed = [...unfold({ graph: editor.graph, prefix: '' }, enter)];
  const problems = unknownClasses(placed, infos);
  if (problems.length > 0) throw unconvertible(problems);

  const ids = new Set(placed.map(({ nodeId }) => nodeId));
  const classes = new Map<string, NodeInfo>();
  for (const { node } of placed) {
    const entry = classes.has(node.type) ? undefined : infos.get(node.type);
    if (entry) classes.set(node.type, readNodeInfo(entry));
  }
  const nodes = placed.flatMap((one) => {
    const info = classes.get(one.node.type);
    return info ? [[one.nodeId, nodeText(one, info, { ids, enter })] as const] : [];
  });
  return JsonText.parse(objectText(nodes));
}

/** One node in API format. */
function nodeText(
  { node, scope }: PlacedNode,
  info: NodeInfo,
  { ids, enter }: { readonly ids: ReadonlySet<string>; readonly enter: Enter },
): string {
  const values = widgetValues(node, info);
  const promoted = scope.host ? promotedValues(scope.host.node, node.nodeId) : [];
  for (const [name, value] of promoted) if (values.has(name)) values.set(name, value);

  const inputs = new Map(Array.from(values, ([name, value]) => [name, valueText(value)]));
  for (const [slot, { name }] of node.inputs.entries()) {
    const source = traceInput({ scope, node, slot }, enter);
    if (!source) continue;
    if (source.kind === 'value') inputs.set(name, valueText(source.value));
    else if (source.kind === 'output' && ids.has(source.nodeId)) {
      inputs.set(name, JSON.stringify([source.nodeId, source.output]));
    } else inputs.delete(name);
  }
  const title = node.title ?? info.displayName ?? node.type;
  return objectText([
    ['inputs', objectText(inputs)],
    ['class_type', JSON.stringify(node.type)],
    ['_meta', objectText([['title', JSON.stringify(title)]])],
  ]);
}

/** An array is wrapped, because ComfyUI would take it for a link. */
function valueText(value: JsonText): string {
  return value.kind === 'array' ? objectText([['__value__', value.text]]) : value.text;
}

function unknownClasses(placed: readonly PlacedNode[], infos: NodeInfos): string[] {
  const unknown = placed.filter(({ node }) => !infos.has(node.type));
  const byType = Map.groupBy(unknown, ({ node }) => node.type);
  return [...byType].map(([type, nodes]) => {
    const ids = nodes.map(({ nodeId }) => nodeId).join(', ');
    const label = nodes.length === 1 ? `Node ${ids}` : `Nodes ${ids}`;
    return GROUP_NODE.test(type)
      ? `${label}: "${type}" is a group node; convert it to a subgraph, or choose Ungroup`
      : `${label}: the class ${JSON.stringify(type)} is not installed`;
  });
}

const GROUP_NODE = /^workflow[>/]/;
