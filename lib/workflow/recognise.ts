import type { JsonText } from '../json.ts';

/** What somebody sent as a workflow. */
export type Recognised =
  /** What ComfyUI runs; `workflow` is the part of the text that is it. */
  | { readonly kind: 'api'; readonly workflow: JsonText }
  /** What the editor saves. */
  | { readonly kind: 'editor'; readonly workflow: JsonText }
  /** An object that is neither, but may be meant as nodes: ComfyUI can tell what is wrong with it. */
  | { readonly kind: 'unclear'; readonly workflow: JsonText }
  | { readonly kind: 'neither'; readonly found: string };

/**
 * Tells the formats apart and takes off one wrapping: `{"prompt": ...}` as `/prompt` takes it, `{"workflow": ...}`, and
 * the `{"output": ...}` of the editor's `graphToPrompt`.
 */
export function recognise(sent: JsonText): Recognised {
  const bare = recogniseBare(sent);
  if (bare) return bare;
  for (const name of WRAPPINGS) {
    const inner = sent.get(name);
    const wrapped = inner && recogniseBare(inner);
    if (wrapped) return wrapped;
  }
  return isObject(sent)
    ? { kind: 'unclear', workflow: sent }
    : { kind: 'neither', found: sent.kind };
}

function recogniseBare(sent: JsonText): Recognised | undefined {
  if (sent.get('nodes')?.kind === 'array') return { kind: 'editor', workflow: sent };
  const nodes = sent.entries();
  const isApi = nodes.length > 0 && nodes.every(([, node]) => isNode(node));
  return isApi ? { kind: 'api', workflow: sent } : undefined;
}

function isNode(node: JsonText): boolean {
  return node.get('class_type')?.kind === 'string' && node.get('inputs')?.kind === 'object';
}

const isObject = (sent: JsonText) => sent.kind === 'object';

/** `prompt` before `workflow`: where both are, the first is what was run and the second a picture of it. */
const WRAPPINGS = ['prompt', 'output', 'workflow'];
