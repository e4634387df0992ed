/** Recorded classes as nodes: descriptions from `classes.json`, and what the simulator knows about their behaviour. */

import { BATCH_BEHAVIOURS } from '../behaviours/batches.ts';
import { LATENT_BEHAVIOURS } from '../behaviours/latents.ts';
import { MASK_BEHAVIOURS } from '../behaviours/masks.ts';
import { MEDIA_BEHAVIOURS } from '../behaviours/media.ts';
import { MODEL_3D_BEHAVIOURS } from '../behaviours/models-3d.ts';
import { PICTURE_BEHAVIOURS } from '../behaviours/pictures.ts';
import { TEXT_BEHAVIOURS } from '../behaviours/texts.ts';
import { VALUE_BEHAVIOURS } from '../behaviours/values.ts';
import { Given, type Behaviours } from '../behaviours/given.ts';
import { PyFloat } from '../../python/python-json.ts';
import type { InputCheck, NodeContext, NodeDefinition, NodeResult } from '../node.ts';
import type { InputSpec, NodeInfo } from '../node-info.ts';
import { checkInputFile } from '../input-files.ts';
import { describeRecorded, describeWithoutFiles } from './descriptions.ts';
import { neutralOutput, type TypedInput } from './neutral.ts';

const BEHAVIOURS: Behaviours = {
  ...VALUE_BEHAVIOURS,
  ...TEXT_BEHAVIOURS,
  ...PICTURE_BEHAVIOURS,
  ...BATCH_BEHAVIOURS,
  ...MASK_BEHAVIOURS,
  ...LATENT_BEHAVIOURS,
  ...MEDIA_BEHAVIOURS,
  ...MODEL_3D_BEHAVIOURS,
};

/**
 * @param byHand the class as it is declared for ComfyUI 0.8.0. Its behaviour and checks are used where there is no newer one.
 */
export function recordedNode(name: string, byHand: NodeDefinition | undefined): NodeDefinition {
  return {
    info: (host) => describeRecorded(name, host),
    execute: (inputs, context) => run(name, byHand, inputs, context),
    ...(describeWithoutFiles(name).is_input_list === true && { takesLists: true as const }),
    ...(byHand?.validate && { validate: byHand.validate }),
    ...(byHand?.fingerprint && {
      fingerprint: (inputs, host) => byHand.fingerprint?.(inputs, host) ?? '',
    }),
    ...OWN_RULES[name],
  };
}

const fileCheck = checkInputFile('model_file', '3D model');
const MODEL_FILE_CHECK: InputCheck = {
  ...fileCheck,
  check: (inputs, host) =>
    inputs.model_file === 'none' || !inputs.model_file ? undefined : fileCheck.check(inputs, host),
};

/** The class takes values that are not among its choices. */
function anyValue(input: string): InputCheck {
  return { inputs: [input], check: () => undefined };
}

/** Rules of classes that have some of their own. */
const OWN_RULES: Readonly<Record<string, Partial<NodeDefinition>>> = {
  CustomCombo: { acceptsAllInputs: true, validate: anyValue('choice') },
  ModelAttentionBackend: { validate: anyValue('attention') },
  SelectCLIPDevice: { validate: anyValue('device') },
  SelectModelDevice: { validate: anyValue('device') },
  SelectVAEDevice: { validate: anyValue('device') },
  Load3D: { validate: MODEL_FILE_CHECK },
  Load3DAdvanced: { validate: MODEL_FILE_CHECK },
  ComfySwitchNode: { needs: ({ switch: on }) => [on === true ? 'on_true' : 'on_false'] },
};

async function run(
  name: string,
  byHand: NodeDefinition | undefined,
  inputs: Readonly<Record<string, unknown>>,
  context: NodeContext,
): Promise<NodeResult> {
  const info = describeWithoutFiles(name);
  const values = withDefaults(info, inputs);
  const behaviour = BEHAVIOURS[name];
  if (behaviour) return completed(info, values, await behaviour(new Given(values), context));
  if (byHand) return completed(info, values, await byHand.execute(values, context));
  const gives = info.output.length > 0 ? ': it passes on its inputs or gives neutral values' : '';
  context.note(`Simulated: ${name} does nothing here${gives}`);
  return completed(info, values, info.output_node ? { ui: {} } : {});
}

/** Adds the declared defaults of inputs that were not sent. Values of FLOAT inputs are floats, even without a fraction. */
function withDefaults(
  info: NodeInfo,
  inputs: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const values = { ...inputs };
  for (const [name, type, options] of declaredOf(info)) {
    values[name] ??= options.default;
    const value = values[name];
    if (type === 'FLOAT' && typeof value === 'number') values[name] = new PyFloat(value);
    if (value === undefined) Reflect.deleteProperty(values, name);
  }
  return values;
}

function declaredOf({
  input,
}: NodeInfo): (readonly [string, unknown, Readonly<Record<string, unknown>>])[] {
  return Object.entries({ ...input.required, ...input.optional }).map(
    ([name, [type, options = {}]]: [string, InputSpec]) => [name, type, options] as const,
  );
}

/** Gives every output a value: the behaviour's, else a neutral one. */
function completed(
  info: NodeInfo,
  values: Readonly<Record<string, unknown>>,
  returned: readonly unknown[] | NodeResult,
): NodeResult {
  const result: NodeResult = Array.isArray(returned)
    ? { outputs: returned as unknown[] }
    : (returned as NodeResult);
  const inputs = typedInputs(info, values);
  const outputs = info.output.map((type, slot) => {
    const value = result.outputs?.[slot] ?? neutralOutput(info, slot, inputs);
    if (type === 'FLOAT' && typeof value === 'number') return new PyFloat(value);
    return info.output_is_list[slot] && !Array.isArray(value) ? [value] : value;
  });
  return { ...result, outputs };
}

/** The inputs with their types; the elements of growing lists and chosen options one by one. */
function typedInputs(info: NodeInfo, values: Readonly<Record<string, unknown>>): TypedInput[] {
  const isList = info.is_input_list === true;
  return declaredOf(info).flatMap(([name, type, options]) => {
    const value =
      isList && Array.isArray(values[name]) ? (values[name] as unknown[])[0] : values[name];
    if (!String(type).startsWith('COMFY_') || type === 'COMFY_MATCHTYPE_V3')
      return [{ name, type, value }];
    const types = nestedTypes(options);
    return Object.entries(value ?? {}).map(([inner, one]) => ({
      name: inner,
      type: types.get(inner) ?? types.get('*'),
      value: isList && Array.isArray(one) ? (one as unknown[])[0] : (one as unknown),
    }));
  });
}

/** Types of the inputs below a dynamic input, by name; `*` for the elements of a growing list. */
function nestedTypes(options: Readonly<Record<string, unknown>>): Map<string, unknown> {
  const { template, options: choices = [] } = options as {
    readonly template?: { readonly input?: Groups };
    readonly options?: readonly { readonly inputs: Groups }[];
  };
  const types = new Map<string, unknown>();
  const add = (groups: Groups, every: boolean) => {
    for (const specs of Object.values(groups)) {
      for (const [name, [type]] of Object.entries(specs)) types.set(every ? '*' : name, type);
    }
  };
  for (const { inputs } of choices) add(inputs, false);
  if (template?.input) add(template.input, true);
  return types;
}

type Groups = Readonly<Record<string, Readonly<Record<string, InputSpec>>>>;
