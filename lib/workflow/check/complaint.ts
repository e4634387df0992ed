import { JsonText } from '../../json.ts';
import type { Graph } from '../graph.ts';
import { arrayText, objectText } from '../json-writer.ts';

/** One thing that is wrong with a node. */
export interface Complaint {
  /** As ComfyUI calls it. */
  readonly type: string;
  /** ComfyUI refuses every output that needs the node, whatever its class checks by itself. */
  readonly isCertain: boolean;
  /** ComfyUI's `extra_info`. */
  readonly extra: Readonly<Record<string, JsonText>>;
}

/** Node id → what is wrong with it. */
export type Complaints = ReadonlyMap<string, readonly Complaint[]>;

/** A complaint in ComfyUI's terms; members that are undefined are left out. */
export function complaint(
  type: string,
  extra: Readonly<Record<string, JsonText | string | readonly string[] | undefined>> = {},
  isCertain = true,
): Complaint {
  const told = Object.entries(extra).filter(([, value]) => value !== undefined);
  const asJson = told.map(([name, value]) => [
    name,
    value instanceof JsonText ? value : JsonText.of(value),
  ]);
  return { type, isCertain, extra: Object.fromEntries(asJson) as Complaint['extra'] };
}

/** ComfyUI's `node_errors`: nodes in the order of the workflow, values as they were sent. */
export function nodeErrors(complaints: Complaints, graph: Graph): JsonText {
  const entries = [...graph.values()].flatMap(({ nodeId, classType }) => {
    const errors = complaints.get(nodeId);
    if (!errors) return [];
    const entry = [
      ['class_type', JSON.stringify(classType ?? null)],
      ['errors', arrayText(errors.map(errorText))],
    ] as const;
    return [[nodeId, objectText(entry)] as const];
  });
  return JsonText.parse(objectText(entries));
}

function errorText({ type, extra }: Complaint): string {
  const extraText = Object.entries(extra).map(([name, value]) => [name, value.text] as const);
  return objectText([
    ['type', JSON.stringify(type)],
    ['extra_info', objectText(extraText)],
  ]);
}
