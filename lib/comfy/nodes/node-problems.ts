import { choicesOf, listChoices } from '../../choices.ts';
import type { JsonText } from '../../json.ts';
import { withoutPaths } from '../../http/redact.ts';
import { shown } from './node-failure.ts';

export interface ProblemContext {
  /** The workflow as it was sent. */
  readonly workflow: JsonText;
  /** What `/object_info` says about a class. */
  readonly nodeInfo: (classType: string) => Promise<JsonText | undefined>;
}

/**
 * `node_errors` → one line per problem, in ComfyUI's order, for people:
 * `Node 4 (CheckpointLoaderSimple "Load Checkpoint"): ckpt_name "x.ckpt" is not installed; available: a.ckpt, b.ckpt`
 */
export async function nodeProblems(
  nodeErrors: JsonText | undefined,
  { workflow, nodeInfo }: ProblemContext,
): Promise<string[]> {
  const context = { nodes: new Map(workflow.entries()), nodeInfo: askedOnce(nodeInfo) };
  const lines = (nodeErrors?.entries() ?? []).map(([nodeId, entry]) =>
    problemsOfNode(nodeId, entry, context),
  );
  return (await Promise.all(lines)).flat();
}

/** A workflow of thousands of nodes has few classes. */
function askedOnce(nodeInfo: ProblemContext['nodeInfo']): ProblemContext['nodeInfo'] {
  const asked = new Map<string, ReturnType<typeof nodeInfo>>();
  return (classType) => {
    const info = asked.get(classType) ?? nodeInfo(classType);
    asked.set(classType, info);
    return info;
  };
}

interface NodesContext extends Pick<ProblemContext, 'nodeInfo'> {
  /** The workflow by node id, read once: thousands of nodes may be wrong. */
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
  const texts = errors.items().map((error) => problemText({ error, node, classType, ...context }));
  return (await Promise.all(texts)).map(
    (text) => `Node ${label(nodeId, classType, node)}: ${text}`,
  );
}

function label(nodeId: string, classType: string, node: JsonText | undefined): string {
  const title = node?.get('_meta')?.get('title')?.value();
  const named = typeof title === 'string' && title !== '' && title !== classType;
  return `${nodeId} (${classType}${named ? ` ${JSON.stringify(title)}` : ''})`;
}

interface Problem extends NodesContext {
  readonly error: JsonText;
  readonly node: JsonText | undefined;
  readonly classType: string;
}

/**
 * `execution.py`, `validate_inputs` and `validate_prompt`, make these types; `missing_node_type` and `output_out_of_range`
 * come from a look of our own before a workflow is submitted.
 */
const TEXTS: Readonly<Record<string, (problem: Problem) => string | Promise<string>>> = {
  required_input_missing: (problem) => `required input ${input(problem)} is missing`,
  bad_linked_input: (problem) =>
    `${input(problem)} ${received(problem)} is not a link; a link is ["node id", output number]`,
  return_type_mismatch: mismatch,
  invalid_input_type: (problem) =>
    `${input(problem)} ${received(problem)} cannot be read as ${expectedType(problem)}`,
  value_smaller_than_min: (problem) =>
    `${input(problem)} ${received(problem)} is below the minimum${bound(problem, 'min')}`,
  value_bigger_than_max: (problem) =>
    `${input(problem)} ${received(problem)} is above the maximum${bound(problem, 'max')}`,
  value_not_in_list: notInList,
  custom_validation_failed: refusedByNode,
  exception_during_validation: uncheckable,
  exception_during_inner_validation: uncheckable,
  dependency_cycle: cycle,
  missing_node_type: notInstalled,
  output_out_of_range: noSuchOutput,
};

async function problemText(problem: Problem): Promise<string> {
  const known = TEXTS[shown(problem.error.get('type'))];
  return (await known?.(problem)) ?? asComfySays(problem);
}

function asComfySays({ error }: Problem): string {
  const parts = [error.get('message'), error.get('details')].filter(isTold).map(shown);
  return withoutPaths(shorten(parts.join(': ') || error.text), NO_MARK);
}

function mismatch(problem: Problem): string {
  const [source, output] = extra(problem, 'linked_node')?.items() ?? [];
  const gives = shown(extra(problem, 'received_type'));
  const sourceClass = problem.nodes.get(shown(source))?.get('class_type');
  const from = `output ${shown(output)} of node ${shown(source)} (${shown(sourceClass)})`;
  return `${input(problem)} needs ${expectedType(problem)}, but ${from} gives ${gives}`;
}

/** Lists longer than 20 are not in the answer; the node's description has them. */
async function notInList(problem: Problem): Promise<string> {
  const value = extra(problem, 'received_value');
  const what = MODEL_FILE.test(shown(value)) ? 'is not installed' : 'is not one of its choices';
  const choices = choicesOf(extra(problem, 'input_config')) ?? (await describedChoices(problem));
  const available = choices ? `; available: ${listChoices(choices, shown(value))}` : '';
  return `${input(problem)} ${received(problem)} ${what}${available}`;
}

async function describedChoices({ nodeInfo, classType, ...problem }: Problem) {
  const info = await nodeInfo(classType).catch(() => undefined);
  const groups = [info?.get('input')?.get('required'), info?.get('input')?.get('optional')];
  const name = shown(extra(problem, 'input_name'));
  return choicesOf(groups.map((group) => group?.get(name)).find((found) => found !== undefined));
}

/** `details` is `{input} - {text}`. */
function refusedByNode(problem: Problem): string {
  const name = input(problem);
  const details = shown(problem.error.get('details'));
  const text = details.startsWith(`${name} - `) ? details.slice(name.length + 3) : details;
  return `${name}: ${withoutPaths(shorten(text), NO_MARK)}`;
}

/** ComfyUI stumbled over the node. A link to a node that is not there is by far the commonest reason. */
function uncheckable(problem: Problem): string {
  const missing = missingLinks(problem);
  if (missing.length > 0) return missing.join('; ');
  if (problem.node && problem.node.get('inputs')?.kind !== 'object') return 'has no inputs object';
  const message = extra(problem, 'exception_message') ?? problem.error.get('details');
  const type = shown(extra(problem, 'exception_type'));
  const text = `ComfyUI could not check it (${type}: ${shown(message).trim()})`;
  return withoutPaths(shorten(text), NO_MARK);
}

function missingLinks({ node, nodes }: Problem): string[] {
  return (node?.get('inputs')?.entries() ?? []).flatMap(([name, value]) => {
    const [source, output] = value.items();
    if (source === undefined || output?.kind !== 'number' || nodes.has(shown(source))) return [];
    return [`${name} is linked to node ${shown(source)}, which is not in the workflow`];
  });
}

function notInstalled(problem: Problem): string {
  const similar = (extra(problem, 'similar')?.items() ?? []).map(shown);
  if (!extra(problem, 'class_type')) return 'has no class_type';
  const meant = similar.length > 0 ? `; did you mean ${similar.join(', ')}?` : '';
  return `this class of nodes is not installed${meant}`;
}

function noSuchOutput(problem: Problem): string {
  const [source, output] = extra(problem, 'linked_node')?.items() ?? [];
  const from = `output ${shown(output)} of node ${shown(source)}`;
  return `${input(problem)} is linked to ${from}, which has ${shown(extra(problem, 'outputs'))}, counted from 0`;
}

function cycle(problem: Problem): string {
  const nodes = (extra(problem, 'cycle_nodes')?.items() ?? []).map(shown);
  return nodes.length > 0 ? `is part of a cycle: ${nodes.join(' → ')}` : 'is part of a cycle';
}

function extra({ error }: Pick<Problem, 'error'>, key: string): JsonText | undefined {
  return error.get('extra_info')?.get(key);
}

function input(problem: Problem): string {
  return shown(extra(problem, 'input_name') ?? problem.error.get('details'));
}

/** As it was sent: numbers with all their digits, texts in quotes. */
function received(problem: Problem): string {
  return shorten(extra(problem, 'received_value')?.text ?? '');
}

function expectedType(problem: Problem): string {
  return shown(extra(problem, 'input_config')?.items()[0]);
}

function bound(problem: Problem, name: 'min' | 'max'): string {
  const value = extra(problem, 'input_config')?.items()[1]?.get(name);
  return value ? ` ${value.text}` : '';
}

function isTold(value: JsonText | undefined): value is JsonText {
  return value !== undefined && value.kind !== 'null' && value.text !== '""';
}

/** Folders of ComfyUI's machine are left out without a trace; the file name stays. */
const NO_MARK = '';

function shorten(text: string): string {
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}…`;
}

const MODEL_FILE = /\.(safetensors|sft|ckpt|pt2?|pth|bin|gguf|onnx|pkl)$/i;
const SHOWN_CHARACTERS = 200;
