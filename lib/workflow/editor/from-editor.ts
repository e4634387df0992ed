import { WorkerError } from '../../errors.ts';
import { JsonText } from '../../json.ts';
import {
  BYPASSED,
  MUTED,
  readEditorFile,
  type EditorFile,
  type EditorNode,
} from './editor-file.ts';
import { isEditorOnly } from './editor-only.ts';
import { traceInput, type Enter, type Scope } from './editor-trace.ts';
import { widgetValues } from './editor-widgets.ts';
import { objectText } from '../json-writer.ts';
import { readNodeInfo, type NodeInfo, type NodeInfos } from '../node-info.ts';
import { shownValues } from './promoted-widgets.ts';

/** A node ComfyUI is to run, where it is placed. */
interface Placed {
  readonly nodeId: string;
  readonly node: EditorNode;
  readonly scope: Scope;
}

/** The classes a workflow in the editor's format needs to be described for its conversion. */
export function editorClassTypes(file: JsonText): string[] {
  const { graph, subgraphs } = readEditorFile(file);
  const nodes = [graph, ...subgraphs.values()].flatMap((one) => [...one.nodes.values()]);
  const types = nodes
    .map(({ type }) => type)
    .filter((type) => !isEditorOnly(type) && !subgraphs.has(type));
  return [...new Set(types)].filter((type) => type !== '');
}

/**
 * Makes what the editor saves into what ComfyUI runs, as the editor's own Workflow > Export (API) does: muted nodes are
 * left out, bypassed ones and reroutes are bridged, subgraphs unfolded. Values keep their text.
 * @throws WorkerError `workflow.unconvertible` with all the reasons.
 */
export function fromEditor(file: JsonText, infos: NodeInfos): JsonText {
  const editor = readEditorFile(file);
  const enter = entering(editor);
  const placed = [...place({ graph: editor.graph, prefix: '' }, enter)];
  const problems = unknownClasses(placed, infos);
  if (problems.length > 0) throw unconvertible(problems);
  const ids = new Set(placed.map(({ nodeId }) => nodeId));
  const described = new Map<string, NodeInfo>();
  const nodes = placed.map((one) => {
    const info = describedOnce(one.node.type, infos, described);
    return [one.nodeId, nodeText(one, info, { ids, enter })] as const;
  });
  return JsonText.parse(objectText(nodes));
}

/** @throws WorkerError `workflow.unconvertible` for a subgraph within itself. */
function entering({ subgraphs }: EditorFile): Enter {
  return (node, scope) => {
    const graph = subgraphs.get(node.type);
    if (!graph) return undefined;
    for (let around: Scope | undefined = scope; around; around = around.host?.scope) {
      if (around.host?.node.type === node.type)
        throw unconvertible([`Subgraph ${node.type} is within itself`]);
    }
    return { graph, prefix: `${scope.prefix}${node.nodeId}:`, host: { node, scope } };
  };
}

/** All nodes that run, subgraphs unfolded. Few lines can unfold to millions of nodes, hence the bound. */
function* place(scope: Scope, enter: Enter, count = { nodes: 0 }): Generator<Placed> {
  for (const node of scope.graph.nodes.values()) {
    if (node.mode === MUTED || node.mode === BYPASSED || isEditorOnly(node.type)) continue;
    if (++count.nodes > MAX_NODES) throw unconvertible([`It has more than ${MAX_NODES} nodes`]);
    const inner = enter(node, scope);
    if (inner) yield* place(inner, enter, count);
    else yield { nodeId: scope.prefix + node.nodeId, node, scope };
  }
}

function nodeText(
  { node, scope }: Placed,
  info: NodeInfo,
  { ids, enter }: { readonly ids: ReadonlySet<string>; readonly enter: Enter },
): string {
  const inputs = new Map(
    [...ownValues(node, info, scope)].map(([name, value]) => [name, valueText(value)]),
  );
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

/** The values of the node's widgets; those its subgraph shows on the outside may be set there. */
function ownValues(
  node: EditorNode,
  info: NodeInfo,
  { host }: Scope,
): ReadonlyMap<string, JsonText> {
  const values = widgetValues(node, info);
  const shown = host ? shownValues(host.node, node.nodeId) : new Map<string, JsonText>();
  for (const [name, value] of shown) if (values.has(name)) values.set(name, value);
  return values;
}

/** A list would be taken for a link. */
function valueText(value: JsonText): string {
  return value.kind === 'array' ? objectText([['__value__', value.text]]) : value.text;
}

function describedOnce(type: string, infos: NodeInfos, described: Map<string, NodeInfo>): NodeInfo {
  const known = described.get(type);
  if (known) return known;
  const info = readNodeInfo(infos.get(type) ?? JsonText.of({}));
  described.set(type, info);
  return info;
}

function unknownClasses(placed: readonly Placed[], infos: NodeInfos): string[] {
  const unknown = placed.filter(({ node }) => !infos.has(node.type));
  const byType = Map.groupBy(unknown, ({ node }) => node.type);
  return [...byType].map(([type, nodes]) => {
    const ids = nodes.map(({ nodeId }) => nodeId).join(', ');
    const what = nodes.length === 1 ? `Node ${ids}` : `Nodes ${ids}`;
    return GROUP_NODE.test(type)
      ? `${what}: "${type}" is a group node; convert it to a subgraph, or choose Ungroup`
      : `${what}: the class ${JSON.stringify(type)} is not installed`;
  });
}

function unconvertible(problems: readonly string[]): WorkerError {
  const lines = problems.map((problem) => `\n• ${problem}`).join('');
  return new WorkerError(
    'workflow.unconvertible',
    `The workflow is in the editor's format and cannot be converted:${lines}\nOr send what Workflow > Export (API) in ComfyUI's menu writes`,
    { details: problems },
  );
}

const GROUP_NODE = /^workflow[>/]/;
const MAX_NODES = 10_000;
