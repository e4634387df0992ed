import { JsonText } from '../../../json.ts';
import type { NodeContext } from '../node.ts';

/** Where a file comes from: that it is simulated, its graph, and whatever the caller sent as `extra_pnginfo`. */
export function describeOrigin({
  prompt,
  extraPnginfo,
}: NodeContext): [name: string, text: string][] {
  const graph: [string, unknown][] = prompt === undefined ? [] : [['prompt', prompt]];
  const entries = [...graph, ...entriesOf(extraPnginfo)];
  return [
    ['Software', 'comfyui-worker simulator: no model was run'],
    ...entries.map(([name, value]): [string, string] => [name, jsonOf(value)]),
  ];
}

function entriesOf(value: unknown): [string, unknown][] {
  if (value instanceof JsonText) return value.entries();
  return typeof value === 'object' && value !== null ? Object.entries(value) : [];
}

function jsonOf(value: unknown): string {
  return value instanceof JsonText ? value.text : JSON.stringify(value);
}
