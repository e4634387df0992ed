import { JsonText } from '../../json.ts';
import { maybeLink } from '../graph.ts';
import {
  hasOption,
  listedChoices,
  listsChoice,
  MATCH_TYPE,
  type InputInfo,
  type NodeInfo,
} from '../node-info.ts';
import type { CheckedGraph, CheckedNode } from './checked-graph.ts';

/** One thing that is wrong with a node. */
export interface Complaint {
  /** ComfyUI's name for it. */
  readonly type: string;
  /** True if ComfyUI surely refuses every output that needs the node. False if code of the class may allow it. */
  readonly isCertain: boolean;
  /** ComfyUI's `extra_info`. */
  readonly extra: Readonly<Record<string, JsonText>>;
}

/** A complaint in ComfyUI's terms. Members of `extra` that are undefined are left out. */
export function complaint(
  type: string,
  extra: Readonly<Record<string, JsonText | string | readonly string[] | undefined>> = {},
  isCertain = true,
): Complaint {
  const members = Object.entries(extra).flatMap(([name, value]) =>
    value === undefined
      ? []
      : [[name, value instanceof JsonText ? value : JsonText.of(value)] as const],
  );
  return { type, isCertain, extra: Object.fromEntries(members) };
}

/** Finds what ComfyUI's `validate_inputs` (`execution.py`) would find wrong with a node's inputs, as far as its class declares them. */
export function checkInputs(
  { info, inputs, expected }: CheckedNode,
  graph: CheckedGraph,
): Complaint[] {
  if (!info || !inputs) return [];
  return expected.flatMap((input) => {
    const found = checkInput(inputs.get(input.name), { input, info, graph });
    if (!found) return [];
    return [input.isNested ? { ...found, isCertain: false } : found];
  });
}

interface Context {
  readonly input: InputInfo;
  readonly info: NodeInfo;
  readonly graph: CheckedGraph;
}

function checkInput(value: JsonText | undefined, context: Context): Complaint | undefined {
  const { input, info } = context;
  if (!value) {
    return input.isRequired
      ? complaint('required_input_missing', { input_name: input.name })
      : undefined;
  }
  if (value.kind === 'array') return checkLink(value, context);
  const bare = value.get('__value__') ?? value;
  if (input.type === 'COMBO') return checkChoice(bare, input, info);
  const isNumber = input.type === 'INT' || input.type === 'FLOAT';
  return isNumber ? checkNumber(bare, input, info) : undefined;
}

/**
 * A link to a node that is not there is found in `preflight.ts`. Little is certain here: classes may give more outputs than
 * they declare, and may check types themselves.
 */
function checkLink(value: JsonText, { input, info, graph }: Context): Complaint | undefined {
  const link = maybeLink(value);
  if (!link) {
    const isPair = value.items().length === 2;
    return isPair ? undefined : complaint('bad_linked_input', about(input, value), false);
  }
  const source = graph.get(link.nodeId)?.info;
  if (!source) return undefined;
  const extra = { input_name: input.name, input_config: input.declaration, linked_node: value };
  const received = source.outputs.at(link.output);
  if (!received) {
    const outputs = String(source.outputs.length);
    return complaint('output_out_of_range', { ...extra, outputs }, false);
  }
  const type = received.asString();
  if (type === undefined || input.type === 'COMBO' || typesFit(type, input.type)) return undefined;
  const isCertain = isCore(info) && isCore(source);
  return complaint('return_type_mismatch', { ...extra, received_type: type }, isCertain);
}

/** `validate_node_input` in `comfy_execution/validation.py`. */
function typesFit(received: string, wanted: string): boolean {
  const types = (list: string) => list.split(',').map((type) => type.trim());
  const accepted = types(wanted);
  return types(received).some(
    (type) =>
      [type, ...accepted].some((one) => one === '*' || one === MATCH_TYPE) ||
      accepted.includes(type),
  );
}

function checkNumber(value: JsonText, input: InputInfo, info: NodeInfo): Complaint | undefined {
  const number = toPythonNumber(value, input.type === 'INT');
  if (number === undefined) return complaint('invalid_input_type', about(input, value));
  const bound = (name: 'min' | 'max') => {
    const declared = input.options?.get(name);
    return declared?.kind === 'number' ? toPythonNumber(declared, false) : undefined;
  };
  const [min, max] = [bound('min'), bound('max')];
  if (min !== undefined && number < min)
    return complaint('value_smaller_than_min', about(input, value), isCore(info));
  if (max !== undefined && number > max)
    return complaint('value_bigger_than_max', about(input, value), isCore(info));
  return undefined;
}

function checkChoice(value: JsonText, input: InputInfo, info: NodeInfo): Complaint | undefined {
  // Loaders of input files accept any file that exists when they run. This job may be about to send it.
  if (UPLOAD_OPTIONS.some((option) => hasOption(input, option))) return undefined;
  const wanted = String(value.value());
  if (listsChoice(input, wanted) !== false) return undefined;
  // An empty list that is not one of models: the editor fills it (CustomCombo), and the class skips this check.
  const isModel = MODEL_FILE.test(wanted);
  if (!isModel && listedChoices(input)?.length === 0) return undefined;
  const isCertain = isCore(info) && isModel;
  return complaint('value_not_in_list', about(input, value), isCertain);
}

/** Classes of `nodes.py` are checked by their declaration alone, except loaders of input files. Other classes may have checks of their own. */
function isCore({ module }: NodeInfo): boolean {
  return module === 'nodes';
}

const about = (input: InputInfo, value: JsonText) => ({
  input_name: input.name,
  input_config: input.declaration,
  received_value: value,
});

const UPLOAD_OPTIONS = [
  'image_upload',
  'video_upload',
  'audio_upload',
  'file_upload',
  'mesh_upload',
];
const MODEL_FILE = /\.(safetensors|sft|ckpt|pt2?|pth|bin|gguf|onnx|pkl)$/i;

/**
 * The number that Python's `int()` or `float()` makes of a value, as ComfyUI calls them on inputs; undefined if they would
 * raise. Whole numbers keep all their digits.
 */
function toPythonNumber(value: JsonText, isWhole: boolean): number | bigint | undefined {
  switch (value.kind) {
    case 'boolean':
      return value.value() === true ? 1 : 0;
    case 'number': {
      if (/^-?\d+$/.test(value.text)) return BigInt(value.text);
      const number = Number(value.text);
      if (!isWhole) return number;
      // int() drops the fraction, and raises for NaN.
      return Number.isFinite(number) ? Math.trunc(number) : undefined;
    }
    case 'string': {
      // Single underscores may stand between digits. float() also takes exponents and names such as `inf`.
      const text = String(value.value())
        .trim()
        .replace(/(?<=\d)_(?=\d)/g, '');
      if (/^[+-]?\d+$/.test(text)) return BigInt(text.replace('+', ''));
      if (isWhole) return undefined;
      if (/^[+-]?(inf|infinity|nan)$/i.test(text)) return Number.NaN;
      return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : undefined;
    }
    default:
      return undefined;
  }
}
