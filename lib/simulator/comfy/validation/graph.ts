import type { NodeInfo } from '../nodes/node-info.ts';
import { PyFloat, type PyDict, type PyValue } from '../python/python-json.ts';

/** The workflow of a prompt: nodes by id, in document order. Each node is a dict with `class_type` and `inputs`. */
export type Graph = Map<string, PyDict>;

export interface Link {
  readonly from: string;
  readonly slot: number;
}

/** A link is a list of a string and a number. Everything else is a literal. */
export function maybeLink(value: PyValue | undefined): Link | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const [from, slot] = value;
  if (typeof from !== 'string') return undefined;
  if (slot instanceof PyFloat) return { from, slot: slot.value };
  return typeof slot === 'number' ? { from, slot } : undefined;
}

export function classOf(node: PyDict): string {
  return node.get('class_type') as string;
}

export function inputsOf(node: PyDict): PyDict | undefined {
  const inputs = node.get('inputs');
  return inputs instanceof Map ? inputs : undefined;
}

/** Names and kinds of hidden inputs: `PROMPT`, `EXTRA_PNGINFO`, `UNIQUE_ID`. */
export function hiddenInputs(info: NodeInfo): [string, string][] {
  return Object.entries(info.input.hidden ?? {}).map(([name, kind]) => [
    name,
    String(Array.isArray(kind) ? kind[0] : kind),
  ]);
}
