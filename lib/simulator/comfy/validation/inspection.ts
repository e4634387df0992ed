import type { Catalogue, DescribedNode, InputCheck } from '../nodes/node.ts';
import type { NodeInfo } from '../nodes/node-info.ts';
import { TRACEBACK } from '../python/exceptions.ts';
import { declaredInputs, type DeclaredInput } from '../nodes/dynamic-inputs.ts';
import { classOf, maybeLink, type Graph } from './graph.ts';
import { PyFloat, toPlain, type PyDict, type PyValue } from '../python/python-json.ts';
import { pyRepr, PythonError } from '../python/python-text.ts';
import {
  badLink,
  checkBounds,
  checkChoice,
  complaint,
  convertLiteral,
  inputConfig,
  missingInput,
  typeMismatch,
  typesFit,
  type Complaint,
} from './validate-input.ts';

export interface NodeComplaints {
  readonly errors: readonly Complaint[];
  readonly dependent_outputs: string[];
  readonly class_type: string;
}

/** The result of validating a graph: the outputs that will run, and the errors of the others. */
export interface Verdict {
  /** Absent when at least one output can run. */
  readonly error?: Complaint;
  readonly goodOutputs: readonly string[];
  readonly nodeErrors: ReadonlyMap<string, NodeComplaints>;
}

interface Finding {
  readonly valid: boolean;
  readonly errors: readonly Complaint[];
}

/** Validates output nodes and everything upstream of them, each node once. */
export class Inspection {
  readonly #graph: Graph;
  readonly #described: ReadonlyMap<string, DescribedNode>;
  readonly #catalogue: Catalogue;
  readonly #findings = new Map<string, Finding>();
  /** The nodes from an output down to the one being inspected. */
  readonly #path: string[] = [];

  constructor(graph: Graph, described: ReadonlyMap<string, DescribedNode>, catalogue: Catalogue) {
    this.#graph = graph;
    this.#described = described;
    this.#catalogue = catalogue;
  }

  async inspect(outputs: readonly string[]): Promise<Verdict> {
    const good: string[] = [];
    const direct: Complaint[] = [];
    const nodeErrors = new Map<string, NodeComplaints>();
    for (const output of outputs) {
      const finding = await this.#inspectOutput(output);
      if (finding.valid) {
        good.push(output);
      } else {
        direct.push(...finding.errors);
        this.#collect(output, nodeErrors);
      }
    }
    if (good.length > 0) return { goodOutputs: good, nodeErrors };
    const details = direct.map((error) => `${error.message}: ${error.details}`).join('\n');
    const message = 'Prompt outputs failed validation';
    const error = complaint('prompt_outputs_failed_validation', message, details);
    return { error, goodOutputs: [], nodeErrors };
  }

  /** As in ComfyUI, all errors found so far are attributed to this output, including those of earlier outputs. */
  #collect(output: string, nodeErrors: Map<string, NodeComplaints>): void {
    for (const [id, { valid, errors }] of this.#findings) {
      if (valid || errors.length === 0) continue;
      const class_type = classOf(this.#node(id));
      const entry = nodeErrors.get(id) ?? { errors, dependent_outputs: [], class_type };
      entry.dependent_outputs.push(output);
      nodeErrors.set(id, entry);
    }
  }

  async #inspectOutput(id: string): Promise<Finding> {
    try {
      return await this.#inspectNode(id);
    } catch (error) {
      return this.#found(id, [
        {
          type: 'exception_during_validation',
          message: 'Exception when validating node',
          details: (error as Error).message,
          extra_info: { exception_type: (error as Error).name, traceback: TRACEBACK },
        },
      ]);
    }
  }

  async #inspectNode(id: string): Promise<Finding> {
    const known = this.#findings.get(id) ?? this.#findCycle(id);
    if (known) return known;
    const described = this.#describedNode(id);
    const inputs = this.#inputs(id);
    const errors: Complaint[] = [];
    let valid = true;
    this.#path.push(id);
    try {
      for (const input of declaredInputs(described.info, inputs)) {
        const upstream = await this.#inspectInput(input, inputs, described, errors);
        valid &&= upstream;
      }
    } finally {
      this.#path.pop();
    }
    errors.push(...(await this.#customErrors(described, inputs)));
    const cycle = this.#findings.get(id);
    return this.#found(id, [...(cycle?.errors ?? []), ...errors], valid && !cycle);
  }

  /** Every node of a cycle gets the error. Before ComfyUI 0.20 they were invalid without an error. */
  #findCycle(id: string): Finding | undefined {
    const start = this.#path.indexOf(id);
    if (start < 0) return undefined;
    if (!this.#catalogue.profile.reportsCycles) return { valid: false, errors: [] };
    const cycle = this.#path.slice(start);
    const steps = [...cycle, id].map((node) => `${node} (${classOf(this.#node(node))})`);
    for (const node of cycle) {
      const error = complaint('dependency_cycle', 'Dependency cycle detected', steps.join(' -> '));
      const extra_info = { node_id: node, cycle_nodes: cycle };
      this.#found(node, [{ ...error, extra_info }]);
    }
    return this.#findings.get(id);
  }

  /** Adds the errors of this input to `errors`. Returns false when an upstream node is invalid. */
  async #inspectInput(
    input: DeclaredInput,
    inputs: PyDict,
    { definition }: DescribedNode,
    errors: Complaint[],
  ): Promise<boolean> {
    const value = inputs.get(input.name);
    if (value === undefined) {
      if (input.required) errors.push(missingInput(input));
      return true;
    }
    if (Array.isArray(value)) return this.#inspectLink(input, value, errors);
    const hasOwnCheck = definition.validate?.inputs.includes(input.name) ?? false;
    const wrong =
      convertLiteral(input, inputs) ??
      (hasOwnCheck ? undefined : this.#checkLiteral(input, inputs));
    if (wrong) errors.push(wrong);
    return true;
  }

  async #inspectLink(input: DeclaredInput, link: PyValue[], errors: Complaint[]): Promise<boolean> {
    if (link.length !== 2) {
      errors.push(badLink(input, link));
      return true;
    }
    const source = link[0] ?? null;
    const received = slotOf(this.#describedNode(source).info.output, link[1] ?? null);
    if (!typesFit(received, input.type)) {
      errors.push(typeMismatch(input, received, link));
      return true;
    }
    try {
      return (await this.#inspectNode(source as string)).valid;
    } catch (error) {
      this.#found(source as string, [innerException(input, link, error as Error)]);
      return false;
    }
  }

  #checkLiteral(input: DeclaredInput, inputs: PyDict): Complaint | undefined {
    const value = inputs.get(input.name) ?? null;
    return checkBounds(input, value) ?? checkChoice(input, value, this.#catalogue.profile);
  }

  /** @throws PythonError when the class's own check lacks an input or raises. */
  async #customErrors(
    { definition: { validate }, info }: DescribedNode,
    inputs: PyDict,
  ): Promise<Complaint[]> {
    if (!validate) return [];
    const missing = validate.inputs.filter((name) => !inputs.has(name));
    if (missing.length > 0) throw missingArguments(info, validate, missing);
    const text = await validate.check(literalInputs(validate.inputs, inputs), this.#catalogue.host);
    if (text === undefined) return [];
    return validate.inputs.map((name) => ({
      type: 'custom_validation_failed',
      message: 'Custom validation failed for node',
      details: `${name} - ${text}`,
      extra_info: { input_name: name },
    }));
  }

  #found(id: string, errors: readonly Complaint[], upstreamValid = true): Finding {
    const finding = { valid: upstreamValid && errors.length === 0, errors };
    this.#findings.set(id, finding);
    return finding;
  }

  #node(id: PyValue): PyDict {
    const node = typeof id === 'string' ? this.#graph.get(id) : undefined;
    if (!node) throw new PythonError('KeyError', pyRepr(id));
    return node;
  }

  #describedNode(id: PyValue): DescribedNode {
    const name = classOf(this.#node(id));
    const described = this.#described.get(name);
    if (!described) throw new PythonError('KeyError', pyRepr(name));
    return described;
  }

  #inputs(id: string): PyDict {
    const inputs = this.#node(id).get('inputs');
    if (inputs === undefined) throw new PythonError('KeyError', "'inputs'");
    if (inputs instanceof Map) return inputs;
    throw new PythonError('TypeError', 'The inputs of a node are no dict');
  }
}

function slotOf(outputs: readonly unknown[], slot: PyValue): unknown {
  const index = slot === true ? 1 : slot === false ? 0 : slot;
  if (typeof index !== 'number') {
    const type = slot instanceof PyFloat ? 'float' : 'str';
    throw new PythonError('TypeError', `tuple indices must be integers or slices, not ${type}`);
  }
  const at = index < 0 ? index + outputs.length : index;
  if (at >= 0 && at < outputs.length) return outputs[at];
  throw new PythonError('IndexError', 'tuple index out of range');
}

function innerException(input: DeclaredInput, link: PyValue[], error: Error): Complaint {
  return {
    type: 'exception_during_inner_validation',
    message: 'Exception when validating inner node',
    details: error.message,
    extra_info: {
      input_name: input.name,
      input_config: inputConfig(input),
      exception_message: error.message,
      exception_type: error.name,
      traceback: TRACEBACK,
      linked_node: link,
    },
  };
}

function missingArguments(
  { name, output_matchtypes }: NodeInfo,
  { definedBy = name }: InputCheck,
  missing: readonly string[],
): PythonError {
  const isSchema = output_matchtypes !== undefined;
  const check = `${definedBy}.${isSchema ? 'validate_inputs' : 'VALIDATE_INPUTS'}`;
  const names = missing.map((one) => pyRepr(one)).join(' and ');
  const count = `${missing.length} required positional argument${missing.length > 1 ? 's' : ''}`;
  return new PythonError('TypeError', `${check}() missing ${count}: ${names}`);
}

/** Links are null, as a value that is not known yet. */
function literalInputs(names: readonly string[], inputs: PyDict): Record<string, unknown> {
  const literals = names.map((name) => {
    const value = inputs.get(name) ?? null;
    return [name, maybeLink(value) ? null : toPlain(value)] as const;
  });
  return Object.fromEntries(literals);
}
