import { describeClasses, type Catalogue, type DescribedNode } from '../nodes/node.ts';
import { classOf, type Graph } from './graph.ts';
import { Inspection, type Verdict } from './inspection.ts';
import type { PyValue } from '../python/python-json.ts';
import { pyStr, PythonError } from '../python/python-text.ts';
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
  const classes = findClasses(prompt, catalogue);
  if ('type' in classes) return refused(classes);
  const graph = prompt as Graph;
  const described = await describeClasses(classes.names, catalogue);
  const outputs = [...graph.keys()].filter((id) => isRoot(id, graph, described, targets));
  if (outputs.length === 0) return refused(complaint('prompt_no_outputs', 'Prompt has no outputs'));
  return new Inspection(graph, described, catalogue.host).inspect(outputs);
}

const refused = (error: Complaint): Verdict => ({ error, goodOutputs: [], nodeErrors: new Map() });

function findClasses(prompt: PyValue, { nodes }: Catalogue): { names: Set<string> } | Complaint {
  const names = new Set<string>();
  for (const [id, node] of members(prompt)) {
    const name = classTypeOf(node);
    if (name === undefined) {
      const message = 'Cannot execute because a node is missing the class_type property.';
      return complaint('invalid_prompt', message, `Node ID '#${id}'`);
    }
    if (typeof name !== 'string' || !nodes.has(name)) {
      const message = `Cannot execute because node ${pyStr(name)} does not exist.`;
      return complaint('invalid_prompt', message, `Node ID '#${id}'`);
    }
    names.add(name);
  }
  return { names };
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
  return !Array.isArray(targets) || targets.includes(id);
}
