import { isError, WorkerError } from '../errors.ts';
import type { JsonText } from '../json.ts';

interface Node {
  readonly nodeId: string;
  readonly title: string | undefined;
  readonly classType: string | undefined;
  readonly inputs: JsonText;
}

/** A node by id, title or class, and one of its inputs. */
interface Place {
  readonly selector: string;
  readonly inputName: string;
}

/**
 * Sets inputs of a workflow, one after the other. An assignment is `node.input=value`: the node by its id, its title in
 * the editor, or its class where no other node has it; the value as JSON if it is JSON, else as text. Every other
 * character of the workflow stays as it was.
 * @throws WorkerError `usage.invalid` for what is no assignment, `workflow.input_unknown` with the names there are.
 */
export function setInputs(workflow: JsonText, assignments: readonly string[]): JsonText {
  return assignments.reduce(setInput, workflow);
}

function setInput(workflow: JsonText, assignment: string): JsonText {
  const equals = assignment.indexOf('=');
  const left = assignment.slice(0, equals).trim();
  const places = placesIn(left);
  if (equals < 0 || places.length === 0) throw notAnAssignment(assignment);
  const input = findInput(nodesOf(workflow), places);
  return workflow.replacing(input, toJson(assignment.slice(equals + 1)));
}

/** Titles and inputs may hold dots themselves: the longest node name that is one wins. */
function placesIn(left: string): Place[] {
  const dots = [...left.matchAll(/\./g)].map(({ index }) => index).reverse();
  return dots
    .map((dot) => ({ selector: left.slice(0, dot).trim(), inputName: left.slice(dot + 1).trim() }))
    .filter(({ selector, inputName }) => selector !== '' && inputName !== '');
}

function nodesOf(workflow: JsonText): Node[] {
  return workflow.entries().flatMap(([nodeId, node]) => {
    const inputs = node.get('inputs');
    if (inputs?.kind !== 'object') return [];
    const title = textOf(node.get('_meta')?.get('title'));
    return [{ nodeId, title, classType: textOf(node.get('class_type')), inputs }];
  });
}

function findInput(nodes: readonly Node[], places: readonly Place[]): JsonText {
  for (const { selector, inputName } of places) {
    const found = nodesNamed(nodes, selector);
    if (found.length > 1) throw ambiguous(selector, found);
    const [node] = found;
    if (node) return node.inputs.get(inputName) ?? noSuchInput(node, inputName);
  }
  throw noSuchNode(places[0]?.selector ?? '', nodes);
}

/** An id before a title, a title before a class; as written before any other case. */
function nodesNamed(nodes: readonly Node[], selector: string): readonly Node[] {
  const wanted = selector.toLowerCase();
  const ways: readonly ((node: Node) => boolean)[] = [
    ({ nodeId }) => nodeId === selector,
    ({ title }) => title === selector,
    ({ classType }) => classType === selector,
    ({ title }) => title?.toLowerCase() === wanted,
    ({ classType }) => classType?.toLowerCase() === wanted,
  ];
  const found = ways.map((isMeant) => nodes.filter(isMeant));
  return found.find((some) => some.length > 0) ?? [];
}

/** A number keeps its digits: a seed may have more than JavaScript can hold. */
function toJson(value: string): string {
  try {
    JSON.parse(value);
    return value.trim();
  } catch (error) {
    if (!isError(error)) throw error;
    return JSON.stringify(value);
  }
}

function textOf(json: JsonText | undefined): string | undefined {
  return json?.kind === 'string' ? String(json.value()) : undefined;
}

function notAnAssignment(assignment: string): WorkerError {
  return new WorkerError(
    'usage.invalid',
    `Expected node.input=value, got ${JSON.stringify(assignment)}; for example 3.seed=42 or "KSampler.steps=20"`,
  );
}

function ambiguous(selector: string, nodes: readonly Node[]): WorkerError {
  return unknown(
    `${nodes.length} nodes are called ${JSON.stringify(selector)}; use the id of one`,
    nodes,
  );
}

function noSuchNode(selector: string, nodes: readonly Node[]): WorkerError {
  return unknown(`No node is called ${JSON.stringify(selector)}; there are`, nodes);
}

function unknown(problem: string, nodes: readonly Node[]): WorkerError {
  const lines = nodes.map((node) => `\n  ${nameOf(node)}`);
  return new WorkerError('workflow.input_unknown', `${problem}:${lines.join('') || ' none'}`);
}

function noSuchInput(node: Node, inputName: string): never {
  const names = node.inputs.entries().map(([name]) => name);
  throw new WorkerError(
    'workflow.input_unknown',
    `Node ${nameOf(node)} has no input ${JSON.stringify(inputName)}; it has: ${names.join(', ') || 'none'}`,
  );
}

function nameOf({ nodeId, title, classType = 'no class' }: Node): string {
  return title === undefined || title === classType
    ? `${nodeId} (${classType})`
    : `${nodeId} (${classType} ${JSON.stringify(title)})`;
}
