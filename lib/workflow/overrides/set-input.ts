import { isError, WorkerError } from '../../errors.ts';
import type { JsonText } from '../../json.ts';
import { findInput, type FoundInput } from './find-input.ts';
import { readGraph } from '../graph.ts';

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
  if (equals < 0) throw notAnAssignment(assignment);
  const nodes = [...readGraph(workflow).values()].filter(({ inputs }) => inputs);
  const found: FoundInput | undefined = findInput(nodes, assignment.slice(0, equals));
  if (!found) throw notAnAssignment(assignment);
  if (found.problem !== undefined) throw new WorkerError('workflow.input_unknown', found.problem);
  return workflow.replacing(found.value, toJson(assignment.slice(equals + 1)));
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

function notAnAssignment(assignment: string): WorkerError {
  return new WorkerError(
    'usage.invalid',
    `Expected node.input=value, got ${JSON.stringify(assignment)}; for example 3.seed=42 or "KSampler.steps=20"`,
  );
}
