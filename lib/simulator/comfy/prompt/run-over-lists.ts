import { ValueList, type DescribedNode, type NodeResult } from '../nodes/node.ts';
import type { NodeInfo } from '../nodes/node-info.ts';

type Inputs = Readonly<Record<string, unknown>>;

/**
 * Runs a node once for each item of the longest list among its inputs; shorter lists repeat their last item
 * (`_async_map_node_over_list` in ComfyUI's `execution.py`). A class that takes lists gets every input as a list, once.
 */
export async function runOverLists(
  { definition, info }: DescribedNode,
  inputs: Inputs,
  run: (inputs: Inputs) => Promise<NodeResult>,
): Promise<NodeResult> {
  if (definition.takesLists) {
    return withLists(info, await run(mapInputs(inputs, itemsOf)));
  }
  const lists = Object.values(inputs).filter((value) => value instanceof ValueList);
  if (lists.length === 0) return withLists(info, await run(inputs));
  const count = Math.max(...lists.map(({ items }) => items.length));
  const results: NodeResult[] = [];
  for (let at = 0; at < count; at++) {
    const itemAt = (value: unknown) =>
      value instanceof ValueList ? value.items[Math.min(at, value.items.length - 1)] : value;
    results.push(withLists(info, await run(mapInputs(inputs, itemAt))));
  }
  return merged(info, results);
}

function mapInputs(inputs: Inputs, map: (value: unknown) => unknown): Inputs {
  return Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name, map(value)]));
}

const itemsOf = (value: unknown): readonly unknown[] =>
  value instanceof ValueList ? value.items : [value];

function withLists({ output_is_list }: NodeInfo, result: NodeResult): NodeResult {
  const outputs = result.outputs?.map((value: unknown, slot) =>
    output_is_list[slot] && Array.isArray(value) ? new ValueList(value) : value,
  );
  return outputs ? { ...result, outputs } : result;
}

/** One list per slot: all items of the runs one after the other. The `ui` outputs are joined, too. */
function merged({ output, output_is_list }: NodeInfo, results: readonly NodeResult[]): NodeResult {
  const outputs = output.map((_, slot) => {
    const values = results.map((result) => result.outputs?.[slot]);
    return new ValueList(output_is_list[slot] ? values.flatMap(itemsOf) : values);
  });
  const shown = results.flatMap(({ ui }) => (ui ? [ui] : []));
  const keys = Object.keys(shown[0] ?? {});
  if (keys.length === 0) return { outputs };
  const ui = keys.map((key) => [key, shown.flatMap((one) => one[key] ?? [])] as const);
  return { outputs, ui: Object.fromEntries(ui) };
}
