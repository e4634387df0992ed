import type { JsonText } from '../../json.ts';
import { nameOf, type GraphNode } from '../graph.ts';

/** An input of a node, or why there is none of that name. */
export type FoundInput =
  | {
      readonly node: GraphNode;
      readonly inputName: string;
      readonly value: JsonText;
      readonly problem?: undefined;
    }
  | { readonly problem: string };

/** One way to read `node.input`. */
interface Place {
  readonly selector: string;
  readonly inputName: string;
}

/**
 * Finds the input that `node.input` names: the node by its id, its title in the editor, or its class where no other node
 * has it. Undefined when the text is not of that form.
 */
export function findInput(nodes: readonly GraphNode[], target: string): FoundInput | undefined {
  const places = placesIn(target);
  for (const { selector, inputName } of places) {
    const found = nodesNamed(nodes, selector);
    if (found.length > 1) return { problem: ambiguous(selector, found) };
    const [node] = found;
    const value = node?.inputs?.get(inputName);
    if (node && value) return { node, inputName, value };
    if (node) return { problem: noSuchInput(node, inputName) };
  }
  const [longest] = places;
  return longest && { problem: noSuchNode(longest.selector, nodes) };
}

/** Titles and inputs may hold dots themselves: the longest node name that is one wins. */
function placesIn(target: string): Place[] {
  const dots = [...target.matchAll(/\./g)].map(({ index }) => index).reverse();
  return dots
    .map((dot) => ({
      selector: target.slice(0, dot).trim(),
      inputName: target.slice(dot + 1).trim(),
    }))
    .filter(({ selector, inputName }) => selector !== '' && inputName !== '');
}

/** An id before a title, a title before a class; as written before any other case. */
function nodesNamed(nodes: readonly GraphNode[], selector: string): readonly GraphNode[] {
  const wanted = selector.toLowerCase();
  const ways: readonly ((node: GraphNode) => boolean)[] = [
    ({ nodeId }) => nodeId === selector,
    ({ title }) => title === selector,
    ({ classType }) => classType === selector,
    ({ title }) => title?.toLowerCase() === wanted,
    ({ classType }) => classType?.toLowerCase() === wanted,
  ];
  const found = ways.map((isMeant) => nodes.filter(isMeant));
  return found.find((some) => some.length > 0) ?? [];
}

function ambiguous(selector: string, nodes: readonly GraphNode[]): string {
  return listing(
    `${nodes.length} nodes are called ${JSON.stringify(selector)}; use the id of one`,
    nodes,
  );
}

function noSuchNode(selector: string, nodes: readonly GraphNode[]): string {
  return listing(`No node is called ${JSON.stringify(selector)}; there are`, nodes);
}

function listing(problem: string, nodes: readonly GraphNode[]): string {
  const lines = nodes.slice(0, LISTED).map((node) => `\n  ${nameOf(node)}`);
  const more = nodes.length > LISTED ? `\n  and ${nodes.length - LISTED} more` : '';
  return `${problem}:${lines.join('') || ' none'}${more}`;
}

function noSuchInput(node: GraphNode, inputName: string): string {
  const names = [...(node.inputs ?? [])].map(([name]) => name);
  return `Node ${nameOf(node)} has no input ${JSON.stringify(inputName)}; it has: ${names.join(', ') || 'none'}`;
}

const LISTED = 30;
