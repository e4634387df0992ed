import type { JsonText } from '../json.ts';

/** The nodes of a workflow in API format. The other format, the editor's, is read in `editor/`. */

/** A node of a workflow in API format. A field with an unexpected value is undefined. */
export interface GraphNode {
  readonly nodeId: string;
  readonly classType: string | undefined;
  /** The title the node has in the editor. */
  readonly title: string | undefined;
  readonly inputs: ReadonlyMap<string, JsonText> | undefined;
}

/** The nodes of a workflow by id, in document order. */
export type Graph = ReadonlyMap<string, GraphNode>;

/** The source of an input: an output of another node, by number. */
export interface Link {
  readonly nodeId: string;
  readonly output: number;
}

export function readGraph(workflow: JsonText): Graph {
  return new Map(
    workflow.entries().map(([nodeId, node]) => {
      const inputs = node.get('inputs');
      return [
        nodeId,
        {
          nodeId,
          classType: node.get('class_type')?.asString(),
          title: node.get('_meta')?.get('title')?.asString(),
          inputs: inputs?.kind === 'object' ? new Map(inputs.entries()) : undefined,
        },
      ];
    }),
  );
}

/** The names of the node classes a workflow uses, each once. */
export function classTypesOf(workflow: JsonText): string[] {
  const names = workflow.entries().map(([, node]) => node.get('class_type')?.asString() ?? '');
  return [...new Set(names)].filter((name) => name !== '');
}

/** The link that an input's value is, by ComfyUI's rule (`is_link` in `comfy_execution/graph_utils.py`): `["node id", number]`. */
export function maybeLink(value: JsonText): Link | undefined {
  const items = value.items();
  const [nodeId, output] = items;
  if (items.length !== 2 || nodeId?.kind !== 'string' || output?.kind !== 'number')
    return undefined;
  return { nodeId: String(nodeId.value()), output: Number(output.text) };
}

/** A node for messages: `6 (CLIPTextEncode "Positive Prompt")`. */
export function nodeLabel(node: Pick<GraphNode, 'nodeId' | 'title' | 'classType'>): string {
  const { nodeId, title, classType = 'no class' } = node;
  return title === undefined || title === '' || title === classType
    ? `${nodeId} (${classType})`
    : `${nodeId} (${classType} ${JSON.stringify(title)})`;
}
