import { randomInt } from 'node:crypto';
import { JsonText, objectText } from '../../json.ts';
import { nodeLabel } from '../graph.ts';
import { hasOption, readNodeInfo, type NodeInfo, type NodeInfos } from '../node-info.ts';
import { readEditorFile, unconvertible, type EditorFile, type EditorNode } from './editor-file.ts';
import { expandGroupNodes, groupName } from './group-nodes.ts';
import { traceInput } from './links.ts';
import { customComboIndex, isRandomSeed } from './pack-widgets.ts';
import { promotedValues, type NodeReader } from './promoted-values.ts';
import { rollPrompt } from './prompt-text.ts';
import { savedValues, type WidgetValues } from './saved-values.ts';
import { createEnter, unfold, type PlacedNode } from './subgraphs.ts';
import { namesFiles, replaceText } from './text-replacements.ts';
import { BROADCASTS, isVirtual } from './virtual-nodes.ts';
import { shownLines } from '../../errors.ts';

/**
 * Conversion of a workflow from the editor's format to the API format. The real editor decides what is right: for the same
 * file, ComfyUI has to get what `app.graphToPrompt()` gives there.
 *
 *     editor-file        parses the file: graphs, nodes, slots, links. New places where a file can be hidden (PNG, WebP,
 *                        MP4 metadata) are opened before this step and end here as JSON text
 *     group-nodes        turns group nodes, which subgraphs have replaced, into subgraphs
 *     subgraphs          unfolds instances of subgraphs
 *     widget-list        lists the widgets of a node in the editor's order; dynamic-inputs adds those that depend on values,
 *                        pack-widgets those that only the page of a node pack knows
 *     saved-values       gives each widget its saved value, by name or by position, or finds that the values do not fit
 *     promoted-values    finds the values that an instance of a subgraph holds for widgets within it
 *     links              follows each input back to the node or value that feeds it
 *     virtual-nodes      lists the node types that only the editor knows; new packs are added there
 *     prompt-text, text-replacements   do to texts what the editor does before it submits them
 *
 * This file puts the steps together: read, unfold, then write each node with its values and links.
 */

/** The node classes whose descriptions {@link fromEditor} needs. */
export function editorClassTypes(file: JsonText): string[] {
  const { graph, subgraphs } = openFile(file);
  const types = [graph, ...subgraphs.values()]
    .flatMap(({ nodes }) => [...nodes.values()])
    .map(({ type }) => type)
    .filter((type) => type !== '' && !isVirtual(type) && !subgraphs.has(type));
  return [...new Set(types)];
}

/**
 * Converts as the editor's own Workflow > Export (API) does: muted nodes are left out, bypassed nodes and reroutes are
 * bridged, subgraphs and group nodes are unfolded. Values keep their text.
 * @param simulated The classes are those of a simulation: a missing one may well be installed where the workflow runs for real.
 * @throws WorkerError `workflow.unconvertible` with all the reasons.
 */
export function fromEditor(sent: JsonText, infos: NodeInfos, simulated = false): JsonText {
  const file = openFile(sent);
  const reader = createReader(file, infos);
  const found = [...unfold({ graph: file.graph, prefix: '' }, reader.enter)];
  const hasBroadcasts = sent.get('extra')?.get('ue_links') !== undefined;
  const placed = found.filter(
    (one) =>
      infos.has(one.node.type) ||
      !(isRemark(one) || (hasBroadcasts && BROADCASTS.has(one.node.type))),
  );
  const unfit = new Set(misfits(placed, reader));
  const needed = unfit.size > 0 ? neededNodes(placed, reader) : unfit;
  const problems = [
    ...unknownClasses(placed, infos, simulated),
    ...[...unfit].filter((one) => needed.has(one)).map(misfitText),
  ];
  if (problems.length > 0) throw unconvertible(problems);

  const sentNodes = placed.filter((one) => !unfit.has(one));
  const ids = new Set(sentNodes.map(({ nodeId }) => nodeId));
  return JsonText.parse(
    objectText(sentNodes.map((one) => [one.nodeId, nodeText(one, { ids, file, reader })])),
  );
}

function createReader(file: EditorFile, infos: NodeInfos): NodeReader {
  const classes = new Map<string, NodeInfo>();
  const read = new Map<EditorNode, WidgetValues | undefined>();
  const infoOf = (type: string) => {
    const entry = classes.has(type) ? undefined : infos.get(type);
    if (entry) classes.set(type, readNodeInfo(entry));
    return classes.get(type);
  };
  const savedValuesOf = (node: EditorNode) => {
    const info = read.has(node) ? undefined : infoOf(node.type);
    if (info) read.set(node, savedValues(node, info));
    return read.get(node);
  };
  return { enter: createEnter(file), infoOf, savedValuesOf };
}

interface Conversion {
  /** Ids of all nodes that are sent. */
  readonly ids: ReadonlySet<string>;
  readonly file: EditorFile;
  readonly reader: NodeReader;
}

/** One node in API format. */
function nodeText({ node, scope }: PlacedNode, { ids, file, reader }: Conversion): string {
  const values = sentValues(node, file, reader);
  const promoted = scope.host ? promotedValues(scope.host.node, node.nodeId) : [];
  for (const [name, value] of promoted) if (values.has(name)) values.set(name, value);

  const widgets = (reader.infoOf(node.type)?.inputs ?? []).filter(
    (one) => !hasOption(one, 'forceInput'),
  );
  const names = new Set([...values.keys(), ...widgets.map((one) => one.name)]);
  const inputs = new Map(Array.from(values, ([name, value]) => [name, valueText(value)]));
  for (const [slot, { name }] of node.inputs.entries()) {
    const source = traceInput({ scope, node, slot }, reader);
    if (!source) continue;
    if (source.kind === 'value') {
      // A primitive node sets a widget. An input without one gets nothing from it.
      if (!source.isPrimitive || names.has(name)) inputs.set(name, valueText(source.value));
    } else if (source.kind === 'output' && ids.has(source.nodeId)) {
      inputs.set(name, JSON.stringify([source.nodeId, source.output]));
    } else inputs.delete(name);
  }
  if (node.type === 'CustomCombo') inputs.set('index', customComboIndex(inputs));
  const title = node.title ?? reader.infoOf(node.type)?.displayName ?? node.type;
  return objectText([
    ['inputs', objectText(inputs)],
    ['class_type', JSON.stringify(node.type)],
    ['_meta', objectText([['title', JSON.stringify(title)]])],
  ]);
}

/** The values of a node's own widgets as the editor sends them: prompts are rolled, and file names are filled in. */
function sentValues(node: EditorNode, file: EditorFile, reader: NodeReader): WidgetValues {
  const values: WidgetValues = new Map(reader.savedValuesOf(node));
  for (const input of reader.infoOf(node.type)?.inputs ?? []) {
    const value = values.get(input.name);
    if (value && isRandomSeed(node.type, input.name, value)) {
      values.set(input.name, JsonText.of(randomInt(MAX_RANDOM_SEED)));
    }
    const text = value?.asString();
    if (text === undefined) continue;
    let sent = hasOption(input, 'dynamicPrompts') ? rollPrompt(text) : text;
    if (namesFiles(node.type, input.name)) sent = replaceText(sent, file, reader);
    if (sent !== text) values.set(input.name, JsonText.of(sent));
  }
  return values;
}

/** The largest range that `randomInt` takes. */
const MAX_RANDOM_SEED = 2 ** 48 - 1;

/** An array is wrapped, because ComfyUI would take it for a link. */
function valueText(value: JsonText): string {
  return value.kind === 'array' ? objectText([['__value__', value.text]]) : value.text;
}

/**
 * A node of the editor alone, such as a note of a node pack: nothing is linked to it, and it refers to no class. A subgraph or
 * group node whose definition is lost looks the same, but a whole workflow may be missing with it.
 */
function isRemark({ node, scope }: PlacedNode): boolean {
  if (groupName(node.type) !== undefined || UUID.test(node.type)) return false;
  const links = [...scope.graph.links.values()];
  const isLinked = links.some((link) => [link.originId, link.targetId].includes(node.nodeId));
  const hasSlots = node.inputs.length > 0 || node.outputTypes.length > 0;
  return !isLinked && !hasSlots && node.properties?.get('Node name for S&R') === undefined;
}

/** The type of an instance is the id of its subgraph. */
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function unknownClasses(
  placed: readonly PlacedNode[],
  infos: NodeInfos,
  simulated: boolean,
): string[] {
  const lacks = simulated ? NOT_SIMULATED : 'is not installed';
  const unknown = placed.filter(({ node }) => !infos.has(node.type));
  const byType = Map.groupBy(unknown, ({ node }) => node.type);
  return [...byType].map(([type, nodes]) => {
    const ids = shownLines(nodes.map(({ nodeId }) => nodeId)).join(', ');
    const label = nodes.length === 1 ? `Node ${ids}` : `Nodes ${ids}`;
    if (groupName(type) !== undefined)
      return `${label}: "${type}" is a group node, and its definition is missing; convert it to a subgraph, or choose Ungroup`;
    if (UUID.test(type)) return `${label}: the file has no definition of its subgraph ${type}`;
    return `${label}: the class ${JSON.stringify(type)} ${lacks}`;
  });
}

const NOT_SIMULATED =
  'is not in the simulation, which has neither node packs nor partner nodes; a real ComfyUI may have it';

/** Nodes whose saved values fit no order of their widgets. They are not guessed: a shifted value gives a wrong picture. */
function misfits(placed: readonly PlacedNode[], reader: NodeReader): PlacedNode[] {
  return placed.filter(({ node }) => reader.infoOf(node.type) && !reader.savedValuesOf(node));
}

function misfitText({ nodeId, node }: PlacedNode): string {
  const label = nodeLabel({ nodeId, title: node.title, classType: node.type });
  return `Node ${label}: its saved values do not fit the inputs of the installed class; open the file in ComfyUI, check them and save it again`;
}

/**
 * The nodes that an output needs. ComfyUI looks at no others, so one of those can be left out. Without any output all nodes
 * count.
 */
function neededNodes(placed: readonly PlacedNode[], reader: NodeReader): ReadonlySet<PlacedNode> {
  const outputs = placed.filter(({ node }) => reader.infoOf(node.type)?.isOutput);
  if (outputs.length === 0) return new Set(placed);
  const byId = new Map(placed.map((one) => [one.nodeId, one]));
  const needed = new Set(outputs);
  for (const { scope, node } of needed) {
    for (const slot of node.inputs.keys()) {
      const source = traceInput({ scope, node, slot }, reader);
      const origin = source?.kind === 'output' ? byId.get(source.nodeId) : undefined;
      if (origin) needed.add(origin); // the loop comes to it, too
    }
  }
  return needed;
}

function openFile(file: JsonText): EditorFile {
  return expandGroupNodes(readEditorFile(file), file.get('extra')?.get('groupNodes'));
}
