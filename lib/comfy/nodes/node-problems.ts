import { choicesOf, listChoices } from '../../choices.ts';
import { withoutPaths } from '../../http/redact.ts';
import type { JsonText } from '../../json.ts';
import { MAX_LINES, shownLines } from '../../errors.ts';
import { shown } from './node-failure.ts';

export interface ProblemContext {
  /** The workflow as it was sent. */
  readonly workflow: JsonText;
  /** Description of a class in `/object_info`; undefined when it is not installed. */
  readonly nodeInfo: (classType: string) => Promise<JsonText | undefined>;
}

/**
 * One line per problem in `node_errors`, in ComfyUI's order:
 * `Node 4 (CheckpointLoaderSimple "Load Checkpoint"): ckpt_name "x.ckpt" is not installed; available: a.ckpt, b.ckpt`
 */
export async function nodeProblems(
  nodeErrors: JsonText | undefined,
  { workflow, nodeInfo }: ProblemContext,
): Promise<string[]> {
  // Thousands of nodes may be wrong, but they have few classes: read the workflow and ask for each class once.
  const nodes = new Map(workflow.entries());
  const infos = new Map<string, ReturnType<typeof nodeInfo>>();
  const nodeInfoOnce = (classType: string) => {
    const info = infos.get(classType) ?? nodeInfo(classType);
    infos.set(classType, info);
    return info;
  };
  const wrong = nodeErrors?.entries() ?? [];
  const lines = wrong
    .slice(0, MAX_LINES)
    .map(([nodeId, entry]) => problemsOfNode(nodeId, entry, { nodes, nodeInfo: nodeInfoOnce }));
  const found = (await Promise.all(lines)).flat();
  return shownLines(found, found.length + Math.max(0, wrong.length - MAX_LINES));
}

interface NodesContext extends Pick<ProblemContext, 'nodeInfo'> {
  /** The workflow by node id. */
  readonly nodes: ReadonlyMap<string, JsonText>;
}

async function problemsOfNode(
  nodeId: string,
  entry: JsonText,
  context: NodesContext,
): Promise<string[]> {
  if (entry.kind !== 'object') return [`Node ${nodeId}: ${shown(entry)}`];
  const errors = entry.get('errors');
  if (errors?.kind !== 'array')
    return entry
      .entries()
      .map(([key, value]) => `Node ${nodeId} (${key}): ${shorten(shown(value))}`);
  const node = context.nodes.get(nodeId);
  const classType = shown(entry.get('class_type') ?? node?.get('class_type'));
  const title = node?.get('_meta')?.get('title')?.value();
  const hasTitle = typeof title === 'string' && title !== '' && title !== classType;
  const label = `${nodeId} (${classType}${hasTitle ? ` ${JSON.stringify(title)}` : ''})`;
  const texts = errors
    .items()
    .slice(0, MAX_LINES)
    .map((error) => problemText({ error, node, classType, ...context }));
  return (await Promise.all(texts)).map((text) => `Node ${label}: ${text}`);
}

interface Problem extends NodesContext {
  readonly error: JsonText;
  readonly node: JsonText | undefined;
  readonly classType: string;
}

/**
 * The text for each type of error. ComfyUI makes them in `execution.py`, `validate_inputs` and `validate_prompt`, except
 * for `output_out_of_range` and `input_file_missing`, which come only from the worker itself (`lib/workflow/check`,
 * `handler/inputs/match-names.ts`). The preflight also makes `missing_node_type`.
 */
const TEXTS: Readonly<Record<string, (problem: Problem) => string | Promise<string>>> = {
  required_input_missing: (problem) => `required input ${inputName(problem)} is missing`,
  bad_linked_input: (problem) =>
    `${inputName(problem)} ${receivedValue(problem)} is not a link; a link is ["node id", output number]`,
  return_type_mismatch: typeMismatch,
  invalid_input_type: (problem) =>
    `${inputName(problem)} ${receivedValue(problem)} cannot be read as ${expectedType(problem)}`,
  value_smaller_than_min: (problem) =>
    `${inputName(problem)} ${receivedValue(problem)} is below the minimum${bound(problem, 'min')}`,
  value_bigger_than_max: (problem) =>
    `${inputName(problem)} ${receivedValue(problem)} is above the maximum${bound(problem, 'max')}`,
  value_not_in_list: notInList,
  custom_validation_failed: refusedByNode,
  exception_during_validation: notCheckable,
  exception_during_inner_validation: notCheckable,
  dependency_cycle: cycle,
  missing_node_type: notInstalled,
  output_out_of_range: noSuchOutput,
  input_file_missing: fileMissing,
};

async function problemText(problem: Problem): Promise<string> {
  const { error } = problem;
  const text = await TEXTS[shown(error.get('type'))]?.(problem);
  if (text !== undefined) return text;
  // An unknown type: show ComfyUI's own words.
  const words = [error.get('message'), error.get('details')]
    .filter((value) => value !== undefined && value.kind !== 'null' && value.text !== '""')
    .map(shown);
  return withoutPaths(shorten(words.join(': ') || error.text), NO_MARK);
}

function typeMismatch(problem: Problem): string {
  const [source, output] = extraInfo(problem, 'linked_node')?.items() ?? [];
  const gives = shown(extraInfo(problem, 'received_type'));
  const sourceClass = problem.nodes.get(shown(source))?.get('class_type');
  const from = `output ${shown(output)} of node ${shown(source)} (${shown(sourceClass)})`;
  return `${inputName(problem)} needs ${expectedType(problem)}, but ${from} gives ${gives}`;
}

async function notInList(problem: Problem): Promise<string> {
  const { nodeInfo, classType } = problem;
  const value = extraInfo(problem, 'received_value');
  let choices = choicesOf(extraInfo(problem, 'input_config'));
  if (choices === undefined) {
    // ComfyUI leaves lists of more than 20 choices out of its answer (`execution.py`, `validate_inputs`).
    const inputs = (await nodeInfo(classType).catch(() => undefined))?.get('input');
    const name = shown(extraInfo(problem, 'input_name'));
    choices = choicesOf(inputs?.get('required')?.get(name) ?? inputs?.get('optional')?.get(name));
  }
  const what = MODEL_FILE.test(shown(value)) ? 'is not installed' : 'is not one of its choices';
  const available = choices ? `; available: ${listChoices(choices, shown(value))}` : '';
  return `${inputName(problem)} ${receivedValue(problem)} ${what}${available}`;
}

/** The model files that texts made here call not installed. */
export function modelsNotInstalled(text: string): string[] {
  const names = [...text.matchAll(/("(?:[^"\\\n]|\\.)+") is not installed/g)];
  return [...new Set(names.map(([, name = '""']) => JSON.parse(name) as string))];
}

/** `details` is `{input} - {text}`. */
function refusedByNode(problem: Problem): string {
  const name = inputName(problem);
  const details = shown(problem.error.get('details'));
  const text = details.startsWith(`${name} - `) ? details.slice(name.length + 3) : details;
  return `${name}: ${withoutPaths(shorten(text), NO_MARK)}`;
}

/** ComfyUI's own words, with the files that the caller may have meant. */
function fileMissing(problem: Problem): string {
  const [noun, value, known] = ['noun', 'received_value', 'known'].map((key) =>
    shown(extraInfo(problem, key)),
  );
  const name = value === '' ? '(no name)' : shorten(value ?? '');
  return `${inputName(problem)}: Invalid ${noun} file: ${name}; ${known}`;
}

/** ComfyUI raised while it checked the node, most often because of a link to a node that does not exist. */
function notCheckable(problem: Problem): string {
  const { node, nodes, error } = problem;
  const inputs = node?.get('inputs');
  const missing = (inputs?.entries() ?? []).flatMap(([name, value]) => {
    const [source, output] = value.items();
    if (source === undefined || output?.kind !== 'number' || nodes.has(shown(source))) return [];
    return [`${name} is linked to node ${shown(source)}, which is not in the workflow`];
  });
  if (missing.length > 0) return shownLines(missing).join('; ');
  if (node && inputs?.kind !== 'object') return 'has no inputs object';
  const message = extraInfo(problem, 'exception_message') ?? error.get('details');
  const type = shown(extraInfo(problem, 'exception_type'));
  const text = `ComfyUI could not check it (${type}: ${shown(message).trim()})`;
  return withoutPaths(shorten(text), NO_MARK);
}

const NOT_SIMULATED =
  'is not in the simulation, which has neither node packs nor partner nodes; a real ComfyUI may have it';

function notInstalled(problem: Problem): string {
  const similar = (extraInfo(problem, 'similar')?.items() ?? []).map(shown);
  if (!extraInfo(problem, 'class_type')) return 'has no class_type';
  const meant = similar.length > 0 ? `; did you mean ${similar.join(', ')}?` : '';
  const lacks = extraInfo(problem, 'simulated') ? NOT_SIMULATED : 'is not installed';
  return `this class of nodes ${lacks}${meant}`;
}

function noSuchOutput(problem: Problem): string {
  const [source, output] = extraInfo(problem, 'linked_node')?.items() ?? [];
  const from = `output ${shown(output)} of node ${shown(source)}`;
  return `${inputName(problem)} is linked to ${from}, which has ${shown(extraInfo(problem, 'outputs'))}, counted from 0`;
}

function cycle(problem: Problem): string {
  const nodes = (extraInfo(problem, 'cycle_nodes')?.items() ?? []).map(shown);
  return nodes.length > 0
    ? `is part of a cycle: ${shownLines(nodes).join(' → ')}`
    : 'is part of a cycle';
}

function extraInfo({ error }: Pick<Problem, 'error'>, key: string): JsonText | undefined {
  return error.get('extra_info')?.get(key);
}

function inputName(problem: Problem): string {
  return shown(extraInfo(problem, 'input_name') ?? problem.error.get('details'));
}

/** The value as JSON: numbers with all their digits, texts in quotes. */
function receivedValue(problem: Problem): string {
  return shorten(extraInfo(problem, 'received_value')?.text ?? '');
}

function expectedType(problem: Problem): string {
  return shown(extraInfo(problem, 'input_config')?.items()[0]);
}

function bound(problem: Problem, name: 'min' | 'max'): string {
  const value = extraInfo(problem, 'input_config')?.items()[1]?.get(name);
  return value ? ` ${value.text}` : '';
}

/** Folders of ComfyUI's machine are left out without a trace; the file name stays. */
const NO_MARK = '';

function shorten(text: string): string {
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}…`;
}

const MODEL_FILE = /\.(safetensors|sft|ckpt|pt2?|pth|bin|gguf|onnx|pkl)$/i;
const SHOWN_CHARACTERS = 200;
