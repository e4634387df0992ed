/**
 * Short node definitions: name, inputs, outputs and behaviour. ComfyUI has two styles of nodes, plain classes and a newer
 * schema, and `/object_info` differs between them; so there are two builders.
 */

import type { NodeContext, NodeDefinition, NodeHost, NodeResult } from './node.ts';
import type { InputSpec, NodeInfo } from './node-info.ts';
import type { Input, Values } from './inputs.ts';

type Inputs = Readonly<Record<string, Input<unknown>>>;

export interface Declaration<Required extends Inputs, Optional extends Inputs = Inputs> {
  readonly name: string;
  /** The name in the editor's menu, if different from `name`. */
  readonly title?: string;
  /** ComfyUI's Python module. */
  readonly module: string;
  readonly category: string;
  readonly inputs: Required;
  readonly optional?: Optional;
  readonly hidden?: readonly string[];
  /** Types of the outputs; also their names, unless `outputNames` is given. */
  readonly outputs?: readonly string[];
  readonly outputNames?: readonly string[];
  /** An output node: it shows or saves something. */
  readonly shows?: true;
  readonly deprecated?: true;
  readonly experimental?: true;
  readonly run: (
    inputs: Values<Required> & Partial<Values<Optional>>,
    context: NodeContext,
  ) => NodeResult | Promise<NodeResult>;
  readonly validate?: NodeDefinition['validate'];
  readonly fingerprint?: NodeDefinition['fingerprint'];
}

/** An entry of the registry. */
export type NamedNode = readonly [name: string, definition: NodeDefinition];

/** A node that is a plain class in ComfyUI. */
export function classNode<R extends Inputs, O extends Inputs>(node: Declaration<R, O>): NamedNode {
  return define(node, {
    describeInput: ({ type, options }, choices) => {
      const first = choices ?? type;
      return options ? [first, options] : [first];
    },
    describeHidden: (type) => type,
    describeNode: (ports) => ({
      ...ports,
      name: node.name,
      display_name: node.title ?? node.name,
      python_module: node.module,
      category: node.category,
      output_node: node.shows ?? false,
      ...(node.deprecated ? { deprecated: true } : {}),
    }),
  });
}

/** A node that uses the newer schema in ComfyUI. */
export function schemaNode<R extends Inputs, O extends Inputs>(node: Declaration<R, O>): NamedNode {
  return define(node, {
    describeInput: ({ type, options = {}, uploads }, choices) =>
      choices
        ? ['COMBO', { ...options, multiselect: false, options: choices, ...uploads }]
        : [type, options],
    describeHidden: (type) => [type],
    describeNode: (ports) => ({
      ...ports,
      output_matchtypes: null,
      name: node.name,
      display_name: node.title ?? null,
      python_module: node.module,
      category: node.category,
      output_node: node.shows ?? false,
      deprecated: node.deprecated ?? false,
      experimental: node.experimental ?? false,
      api_node: false,
    }),
  });
}

type Ports = Pick<NodeInfo, 'input' | 'input_order' | 'output' | 'output_is_list' | 'output_name'>;

interface Style {
  describeInput(input: Input<unknown>, choices: readonly string[] | undefined): InputSpec;
  describeHidden(type: string): unknown;
  describeNode(ports: Ports): NodeInfo;
}

function define<R extends Inputs, O extends Inputs>(
  node: Declaration<R, O>,
  style: Style,
): NamedNode {
  const definition: NodeDefinition = {
    info: async (host) => style.describeNode(await describePorts(node, style, host)),
    execute: (inputs, context) =>
      node.run(
        { ...readInputs(node.inputs, inputs), ...readOptional(node.optional, inputs) },
        context,
      ),
    ...(node.validate ? { validate: node.validate } : {}),
    ...(node.fingerprint ? { fingerprint: node.fingerprint } : {}),
  };
  return [node.name, definition];
}

async function describePorts<R extends Inputs, O extends Inputs>(
  { inputs, optional, hidden, outputs = [], outputNames = outputs }: Declaration<R, O>,
  style: Style,
  host: NodeHost,
): Promise<Ports> {
  const describe = (group: Inputs) => describeInputs(group, style, host);
  const hiddenTypes = hidden?.map((name): [string, unknown] => [
    name,
    style.describeHidden(name.toUpperCase()),
  ]);
  return {
    input: {
      required: await describe(inputs),
      ...(optional ? { optional: await describe(optional) } : {}),
      ...(hiddenTypes ? { hidden: Object.fromEntries(hiddenTypes) } : {}),
    },
    input_order: {
      required: Object.keys(inputs),
      ...(optional ? { optional: Object.keys(optional) } : {}),
      ...(hidden ? { hidden } : {}),
    },
    output: outputs,
    output_is_list: outputs.map(() => false),
    output_name: outputNames,
  };
}

async function describeInputs(
  inputs: Inputs,
  style: Style,
  host: NodeHost,
): Promise<Record<string, InputSpec>> {
  const described = Object.entries(inputs).map(async ([name, input]) => {
    const spec = style.describeInput(input, await input.choices?.(host));
    return [name, spec] as const;
  });
  return Object.fromEntries(await Promise.all(described));
}

function readInputs<R extends Inputs>(
  declared: R,
  sent: Readonly<Record<string, unknown>>,
): Values<R> {
  const values = Object.entries(declared).map(([name, { read }]) => [name, read(sent[name])]);
  return Object.fromEntries(values) as Values<R>;
}

/** Only the optional inputs that were sent. */
function readOptional<O extends Inputs>(
  declared: O | undefined,
  sent: Readonly<Record<string, unknown>>,
): Partial<Values<O>> {
  const given = Object.entries(declared ?? {}).filter(([name]) => sent[name] !== undefined);
  return readInputs(Object.fromEntries(given), sent) as Partial<Values<O>>;
}
