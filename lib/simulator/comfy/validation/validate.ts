import { describeClasses, type Catalogue, type DescribedNode } from '../nodes/node.ts';
import { classOf, type Graph } from './graph.ts';
import { Inspection, type Verdict } from './inspection.ts';
import type { PyValue } from '../python/python-json.ts';
import { pyBool, pyStr, PythonError } from '../python/python-text.ts';
import { complaint, type Complaint } from './validate-input.ts';

/**
 * Validates a graph like `validate_prompt` in ComfyUI's `execution.py`: every class must exist, then each output node is
 * followed upstream. Literals are converted in place.
 * @throws PythonError where ComfyUI answers 500.
 */
export async function validatePrompt(
  prompt: PyValue,
  catalogue: Catalogue,
  targets: PyValue | undefined,
): Promise<Verdict> {
  const missing = findMissingClass(prompt, catalogue);
  if (missing) return refused(missing);
  const graph = prompt as Graph;
  const names = new Set([...graph.values()].map(classOf));
  const described = await describeClasses(names, catalogue);
  const outputs = [...graph.keys()].filter((id) => isRoot(id, graph, described, targets));
  if (outputs.length === 0) return refused(complaint('prompt_no_outputs', 'Prompt has no outputs'));
  return new Inspection(graph, described, catalogue).inspect(outputs);
}

const refused = (error: Complaint): Verdict => ({ error, goodOutputs: [], nodeErrors: new Map() });

function findMissingClass(prompt: PyValue, catalogue: Catalogue): Complaint | undefined {
  for (const [id, node] of members(prompt)) {
    const name = classTypeOf(node);
    if (typeof name === 'string' && catalogue.nodes.has(name)) continue;
    if (Array.isArray(name) || name instanceof Map) {
      throw new PythonError('TypeError', 'A class is no string');
    }
    return catalogue.profile.namesMissingNodes
      ? missingNodeType(id, node, name)
      : complaint('invalid_prompt', whyInvalid(name), `Node ID '#${id}'`);
  }
  return undefined;
}

/** The error of ComfyUI 0.8.0. */
const whyInvalid = (name: PyValue | undefined) =>
  name === undefined
    ? 'Cannot execute because a node is missing the class_type property.'
    : `Cannot execute because node ${pyStr(name)} does not exist.`;

function missingNodeType(id: string, node: PyValue, name: PyValue | undefined): Complaint {
  const own = titleOf(node);
  const title = own === undefined ? (name ?? null) : own;
  const shown = pyBool(title) ? pyStr(title) : `ID #${id}`;
  const message =
    name === undefined
      ? `Node '${shown}' has no class_type. The workflow may be corrupted or a custom node is missing.`
      : `Node '${pyStr(title)}' not found. The custom node may not be installed.`;
  const extra_info = { node_id: id, class_type: name ?? null, node_title: title };
  return { ...complaint('missing_node_type', message, `Node ID '#${id}'`), extra_info };
}

function titleOf(node: PyValue): PyValue | undefined {
  const meta = node instanceof Map ? node.get('_meta') : null;
  if (meta === undefined) return undefined;
  if (meta instanceof Map) return meta.get('title');
  throw new PythonError('AttributeError', 'A node or its _meta is no dict');
}

function members(prompt: PyValue): Iterable<[string, PyValue]> {
  if (prompt instanceof Map) return prompt;
  if ((Array.isArray(prompt) || typeof prompt === 'string') && prompt.length === 0) return [];
  throw new PythonError('TypeError', 'The prompt is no dict');
}

/**
 * The node's class, or undefined. In Python, `'class_type' in node` is false for a string or a list and raises for a
 * number; an editor workflow sent as a prompt contains both.
 */
function classTypeOf(node: PyValue): PyValue | undefined {
  if (node instanceof Map) return node.get('class_type');
  if (Array.isArray(node) && !node.includes('class_type')) return undefined;
  if (typeof node === 'string' && !node.includes('class_type')) return undefined;
  throw new PythonError('TypeError', 'A node is no dict');
}

function isRoot(
  id: string,
  graph: Graph,
  described: ReadonlyMap<string, DescribedNode>,
  targets: PyValue | undefined,
): boolean {
  const node = graph.get(id);
  if (!node || !described.get(classOf(node))?.info.output_node) return false;
  if (targets === undefined || targets === null) return true;
  // Python's `id in targets` also looks into texts and dicts.
  if (targets instanceof Map) return targets.has(id);
  if (Array.isArray(targets) || typeof targets === 'string') return targets.includes(id);
  throw new PythonError('TypeError', 'The targets are no list');
}
