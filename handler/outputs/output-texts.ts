import type { JsonText } from '../../lib/json.ts';

/** A text a node has shown, as it is. */
export interface OutputText {
  readonly nodeId: string;
  /** Under which the node shows it: `text`, `string`, `tags`, ... */
  readonly key: string;
  readonly text: string;
}

/** All texts a node shows: strings, and strings in lists. What is inside an object describes a file or a view. */
export function textsOf(nodeId: string, output: JsonText): readonly OutputText[] {
  const shown = output
    .entries()
    .flatMap(([key, value]) => stringsIn(value, NESTING).map((text) => ({ nodeId, key, text })));
  return shown.filter(({ key }) => key !== 'images');
}

function stringsIn(value: JsonText, depth: number): string[] {
  if (value.kind === 'string') return [String(value.value())];
  return depth === 0 ? [] : value.items().flatMap((item) => stringsIn(item, depth - 1));
}

/** A list, and lists in it: ComfyUI wraps what a node gives for each item of a batch. */
const NESTING = 2;
