import { randomBytes } from 'node:crypto';
import { isError, WorkerError, shownLines } from '../errors.ts';
import type { JsonText } from '../json.ts';
import { maybeLink, nodeLabel, readGraph, type GraphNode } from './graph.ts';
import { readNodeInfo, type NodeInfos } from './node-info.ts';

/**
 * New values for inputs of a workflow, each named as `node.input`: from a job's `overrides`, or from the command line. The
 * node is given by its id, its title in the editor, or its class if no other node has it. Every other character of the
 * workflow stays.
 */

export interface Overridden {
  readonly workflow: JsonText;
  /** The seeds that replaced `"randomize"`, by `node id.input`. Texts, because most are too large for a JavaScript number. */
  readonly randomized: Readonly<Record<string, string>>;
}

interface Override {
  readonly node: GraphNode;
  readonly inputName: string;
  readonly current: JsonText;
  readonly wanted: JsonText;
}

/**
 * Sets inputs from an object: `{"6.text": "a cat", "KSampler.seed": "randomize"}`. Random seeds stay within the bounds that
 * `infos` declares, if it is given.
 * @throws WorkerError `workflow.input_unknown` with everything that cannot be set, and the names that exist.
 */
export function applyOverrides(workflow: JsonText, sent: JsonText, infos?: NodeInfos): Overridden {
  const nodes = [...readGraph(workflow).values()];
  const found = sent.entries().map(([target, wanted]) => toOverride(target, wanted, nodes));
  const overrides = found.filter((one) => typeof one !== 'string');
  const problems = [
    ...found.filter((one) => typeof one === 'string'),
    ...repeatedInputs(overrides),
  ];
  if (problems.length > 0) {
    throw new WorkerError('workflow.input_unknown', shownLines(problems).join('\n'), {
      details: problems,
    });
  }
  const randomized: Record<string, string> = {};
  const edits = overrides.map((override) => {
    const { inputName, current, wanted } = override;
    if (!SEEDS.has(inputName) || wanted.asString() !== 'randomize')
      return [current, wanted.text] as const;
    const seed = randomSeed(override, infos);
    randomized[keyOf(override)] = seed;
    return [current, seed] as const;
  });
  return { workflow: workflow.replacingAll(edits), randomized };
}

/** Returns a text if the input cannot be set: the reason. */
function toOverride(
  target: string,
  wanted: JsonText,
  nodes: readonly GraphNode[],
): Override | string {
  const found = findInput(nodes, target);
  if (!found) return `Expected "node.input", got ${JSON.stringify(target)}; for example "6.text"`;
  if ('problem' in found) return found.problem;
  const { node, inputName, value } = found;
  const link = maybeLink(value);
  if (!link || maybeLink(wanted)) return { node, inputName, current: value, wanted };
  return `${inputName} of node ${nodeLabel(node)} comes from node ${link.nodeId}; expected another link, ["node id", output number], got ${wanted.text.slice(0, SHOWN_CHARACTERS)}`;
}

/** Two names may mean the same input. Then it is not clear which value to take. */
function repeatedInputs(overrides: readonly Override[]): string[] {
  return [...Map.groupBy(overrides, keyOf).values()].flatMap(([first, second]) =>
    first && second
      ? [`${first.inputName} of node ${nodeLabel(first.node)} is set more than once`]
      : [],
  );
}

const keyOf = ({ node, inputName }: Override) => `${node.nodeId}.${inputName}`;

function randomSeed({ node, inputName }: Override, infos: NodeInfos | undefined): string {
  const entry = infos?.get(node.classType ?? '');
  const input = entry && readNodeInfo(entry).inputs.find(({ name }) => name === inputName);
  const max = input?.options?.get('max')?.text ?? '';
  const number = randomBytes(8).readBigUInt64BE();
  return String(/^\d+$/.test(max) ? number % (BigInt(max) + 1n) : number);
}

const SEEDS: ReadonlySet<string> = new Set(['seed', 'noise_seed']);
const SHOWN_CHARACTERS = 100;

/**
 * Sets inputs from assignments, one after the other: `6.text=a cat`. A value that is not JSON is a text.
 * @throws WorkerError `usage.invalid` if a text is not an assignment, `workflow.input_unknown` with the names that exist.
 */
export function setInputs(workflow: JsonText, assignments: readonly string[]): JsonText {
  return assignments.reduce(setInput, workflow);
}

function setInput(workflow: JsonText, assignment: string): JsonText {
  const [target, value] = readAssignment(assignment);
  const nodes = [...readGraph(workflow).values()].filter(({ inputs }) => inputs);
  const found = findInput(nodes, target);
  if (!found) throw noAssignment(assignment);
  if ('problem' in found) throw new WorkerError('workflow.input_unknown', found.problem);
  return workflow.replacing(found.value, value);
}

/** Splits `node.input=value`; the value as JSON. @throws WorkerError `usage.invalid` */
export function readAssignment(assignment: string): [target: string, value: string] {
  const equals = assignment.indexOf('=');
  const target = assignment.slice(0, equals);
  if (equals < 0 || !/\S.*\..*\S/s.test(target)) throw noAssignment(assignment);
  return [target, assignedJson(assignment.slice(equals + 1))];
}

function noAssignment(assignment: string): WorkerError {
  return new WorkerError(
    'usage.invalid',
    `Expected node.input=value, got ${JSON.stringify(assignment)}; for example 3.seed=42 or "KSampler.steps=20"`,
  );
}

/** Keeps the digits of a number: a seed may have more than JavaScript can hold. */
function assignedJson(value: string): string {
  try {
    JSON.parse(value);
    return value.trim();
  } catch (error) {
    if (!isError(error)) throw error;
    return JSON.stringify(value);
  }
}

/** An input of a node, or why there is no input of that name. */
type FoundInput =
  | { readonly node: GraphNode; readonly inputName: string; readonly value: JsonText }
  | { readonly problem: string };

/**
 * Finds the input that `target` names as `node.input`; undefined if the text does not have that form. Titles and input
 * names may contain dots themselves, so every dot is tried, and the longest node name that exists wins.
 */
function findInput(nodes: readonly GraphNode[], target: string): FoundInput | undefined {
  const readings = [...target.matchAll(/\./g)]
    .reverse()
    .map(({ index: dot }) => ({
      selector: target.slice(0, dot).trim(),
      inputName: target.slice(dot + 1).trim(),
    }))
    .filter(({ selector, inputName }) => selector !== '' && inputName !== '');
  for (const { selector, inputName } of readings) {
    const found = nodesNamed(nodes, selector);
    if (found.length > 1) {
      const problem = `${found.length} nodes are called ${JSON.stringify(selector)}; use the id of one`;
      return { problem: withNodeList(problem, found) };
    }
    const [node] = found;
    const value = node?.inputs?.get(inputName);
    if (node && value) return { node, inputName, value };
    if (node) {
      const names = shownLines([...(node.inputs?.keys() ?? [])]).join(', ') || 'none';
      const problem = `Node ${nodeLabel(node)} has no input ${JSON.stringify(inputName)}; it has: ${names}`;
      return { problem };
    }
  }
  const [longest] = readings;
  if (!longest) return undefined;
  const problem = `No node is called ${JSON.stringify(longest.selector)}; there are`;
  return { problem: withNodeList(problem, nodes) };
}

/** An id comes before a title, a title before a class, and equal case before any other case. */
function nodesNamed(nodes: readonly GraphNode[], selector: string): readonly GraphNode[] {
  const lower = selector.toLowerCase();
  const rules: readonly ((node: GraphNode) => boolean)[] = [
    ({ nodeId }) => nodeId === selector,
    ({ title }) => title === selector,
    ({ classType }) => classType === selector,
    ({ title }) => title?.toLowerCase() === lower,
    ({ classType }) => classType?.toLowerCase() === lower,
  ];
  for (const matches of rules) {
    const found = nodes.filter(matches);
    if (found.length > 0) return found;
  }
  return [];
}

function withNodeList(problem: string, nodes: readonly GraphNode[]): string {
  const lines = nodes.slice(0, LISTED_NODES).map((node) => `\n  ${nodeLabel(node)}`);
  const rest = nodes.length - LISTED_NODES;
  const more = rest > 0 ? `\n  and ${rest} more` : '';
  return `${problem}:${lines.join('') || ' none'}${more}`;
}

const LISTED_NODES = 30;
