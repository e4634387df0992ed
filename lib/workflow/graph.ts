import type { JsonText } from '../json.ts';

/** A node of a workflow in API format. Whatever is not as it should be is undefined. */
export interface GraphNode {
  readonly nodeId: string;
  readonly classType: string | undefined;
  /** What the editor calls the node. */
  readonly title: string | undefined;
  readonly inputs: ReadonlyMap<string, JsonText> | undefined;
}

/** The nodes of a workflow in document order. */
export type Graph = ReadonlyMap<string, GraphNode>;

/** Where an input comes from: an output, by number, of another node. */
export interface Link {
  readonly nodeId: string;
  readonly output: number;
}

export function readGraph(workflow: JsonText): Graph {
  const nodes = workflow
    .entries()
    .map(([nodeId, node]) => [nodeId, readNode(nodeId, node)] as const);
  return new Map(nodes);
}

function readNode(nodeId: string, node: JsonText): GraphNode {
  const inputs = node.get('inputs');
  return {
    nodeId,
    classType: textOf(node.get('class_type')),
    title: textOf(node.get('_meta')?.get('title')),
    inputs: inputs?.kind === 'object' ? new Map(inputs.entries()) : undefined,
  };
}

/** The classes a workflow names, each once. */
export function classTypesOf(workflow: JsonText): string[] {
  const names = workflow.entries().map(([, node]) => textOf(node.get('class_type')) ?? '');
  return [...new Set(names)].filter((name) => name !== '');
}

/** A link as ComfyUI sees one (`comfy_execution/graph_utils.py`, `is_link`): `["node id", number]`. */
export function maybeLink(value: JsonText): Link | undefined {
  if (value.kind !== 'array') return undefined;
  const items = value.items();
  const [nodeId, output] = items;
  if (items.length !== 2 || nodeId?.kind !== 'string' || output?.kind !== 'number')
    return undefined;
  return { nodeId: String(nodeId.value()), output: Number(output.text) };
}

/** `6 (CLIPTextEncode "Positive Prompt")`. */
export function nameOf({
  nodeId,
  title,
  classType = 'no class',
}: Omit<GraphNode, 'inputs'>): string {
  return title === undefined || title === '' || title === classType
    ? `${nodeId} (${classType})`
    : `${nodeId} (${classType} ${JSON.stringify(title)})`;
}

export function textOf(json: JsonText | undefined): string | undefined {
  return json?.kind === 'string' ? String(json.value()) : undefined;
}
