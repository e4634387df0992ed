import { randomBytes } from 'node:crypto';
import { WorkerError } from '../../errors.ts';
import type { JsonText } from '../../json.ts';
import { findInput } from './find-input.ts';
import { maybeLink, nameOf, readGraph, type Graph, type GraphNode } from '../graph.ts';
import { readNodeInfo, type NodeInfos } from '../node-info.ts';

export interface Overridden {
  readonly workflow: JsonText;
  /** What `"randomize"` became, by `node id.input`, as text: most of these numbers are too large for JavaScript. */
  readonly randomized: Readonly<Record<string, string>>;
}

interface Override {
  readonly node: GraphNode;
  readonly inputName: string;
  readonly current: JsonText;
  readonly wanted: JsonText;
}

/**
 * Gives inputs new values: `{"6.text": "a cat", "KSampler.seed": "randomize"}`, the node by id, title or class, the value
 * as it was sent. Every other character of the workflow stays. `infos`, where known, keep random seeds within bounds.
 * @throws WorkerError `workflow.input_unknown` with everything that cannot be set, and the names there are.
 */
export function applyOverrides(workflow: JsonText, sent: JsonText, infos?: NodeInfos): Overridden {
  const graph = readGraph(workflow);
  const found = sent.entries().map(([target, wanted]) => toOverride(target, wanted, graph));
  const overrides = found.filter((one) => typeof one !== 'string');
  const problems = [...found.filter((one) => typeof one === 'string'), ...doubles(overrides)];
  if (problems.length > 0) {
    throw new WorkerError('workflow.input_unknown', problems.join('\n'), { details: problems });
  }
  const random = overrides
    .filter(isRandomized)
    .map((one) => [one, randomSeed(one, infos)] as const);
  const seeds = new Map(random);
  const edits = overrides.map((one) => [one.current, seeds.get(one) ?? one.wanted.text] as const);
  return {
    workflow: workflow.replacingAll(edits),
    randomized: Object.fromEntries(random.map(([one, seed]) => [keyOf(one), seed])),
  };
}

/** A text is what is wrong with it. */
function toOverride(target: string, wanted: JsonText, graph: Graph): Override | string {
  const found = findInput([...graph.values()], target);
  if (!found) return `Expected "node.input", got ${JSON.stringify(target)}; for example "6.text"`;
  if (found.problem !== undefined) return found.problem;
  const { node, inputName, value } = found;
  const link = maybeLink(value);
  if (!link || maybeLink(wanted)) return { node, inputName, current: value, wanted };
  return `${inputName} of node ${nameOf(node)} comes from node ${link.nodeId}; expected another link, ["node id", output number], got ${wanted.text.slice(0, SHOWN)}`;
}

/** Two names for one input: which of them is meant nobody knows. */
function doubles(overrides: readonly Override[]): string[] {
  const byKey = Map.groupBy(overrides, keyOf);
  return [...byKey.values()]
    .filter((same) => same.length > 1)
    .map(([first]) =>
      first ? `${first.inputName} of node ${nameOf(first.node)} is set more than once` : '',
    );
}

const keyOf = ({ node, inputName }: Override) => `${node.nodeId}.${inputName}`;

function isRandomized({ inputName, wanted }: Override): boolean {
  return SEEDS.has(inputName) && wanted.value() === 'randomize';
}

function randomSeed({ node, inputName }: Override, infos: NodeInfos | undefined): string {
  const entry = infos?.get(node.classType ?? '');
  const input = entry && readNodeInfo(entry).inputs.find(({ name }) => name === inputName);
  const max = input?.options?.get('max')?.text ?? '';
  const number = randomBytes(8).readBigUInt64BE();
  return String(/^\d+$/.test(max) ? number % (BigInt(max) + 1n) : number);
}

const SEEDS: ReadonlySet<string> = new Set(['seed', 'noise_seed']);
const SHOWN = 100;
