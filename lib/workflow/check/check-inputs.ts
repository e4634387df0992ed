import type { JsonText } from '../../json.ts';
import type { CheckedGraph } from './checked-graph.ts';
import { complaint, type Complaint } from './complaint.ts';
import { maybeLink, textOf, type GraphNode, type Link } from '../graph.ts';
import { hasOption, isDynamic, listsChoice, type InputInfo, type NodeInfo } from '../node-info.ts';
import { compareNumbers, maybeNumber } from './python-number.ts';

/** What ComfyUI's `validate_inputs` finds wrong with the inputs of a node, as far as its class declares it. */
export function checkInputs(node: GraphNode, graph: CheckedGraph): Complaint[] {
  const info = graph.infoOf(node);
  if (!info || !node.inputs) return [];
  const { inputs } = node;
  const found = info.inputs
    .filter((input) => !isDynamic(input))
    .map((input) => {
      const value = inputs.get(input.name);
      if (!value) return missing(input);
      return value.kind === 'array'
        ? checkLink(value, input, graph)
        : checkValue(value, input, info);
    });
  return found.filter((one) => one !== undefined);
}

function missing({ name, isRequired }: InputInfo): Complaint | undefined {
  return isRequired ? complaint('required_input_missing', { input_name: name }) : undefined;
}

/** A link to a node that is not there is found elsewhere. */
function checkLink(value: JsonText, input: InputInfo, graph: CheckedGraph): Complaint | undefined {
  const link = maybeLink(value);
  if (!link) {
    const isPair = value.items().length === 2;
    return isPair ? undefined : complaint('bad_linked_input', about(input, value), false);
  }
  const source = graph.nodes.get(link.nodeId);
  const info = source && graph.infoOf(source);
  return info && checkOutput(value, { input, link, outputs: info.outputs });
}

/** Classes may give more outputs than they declare, and may judge types themselves: nothing is certain here. */
function checkOutput(
  value: JsonText,
  { input, link, outputs }: { input: InputInfo; link: Link; outputs: NodeInfo['outputs'] },
): Complaint | undefined {
  const about = { input_name: input.name, input_config: input.declaration, linked_node: value };
  const received = outputs.at(link.output);
  if (!received)
    return complaint('output_out_of_range', { ...about, outputs: String(outputs.length) }, false);
  const type = textOf(received);
  if (type === undefined || input.type === 'COMBO' || typesFit(type, input.type)) return undefined;
  return complaint('return_type_mismatch', { ...about, received_type: type }, false);
}

/** `validate_node_input` in `comfy_execution/validation.py`. */
function typesFit(received: string, wanted: string): boolean {
  const types = (list: string) => list.split(',').map((type) => type.trim());
  const accepted = types(wanted);
  return types(received).some(
    (type) => type === '*' || accepted.includes(type) || accepted.includes('*'),
  );
}

function checkValue(sent: JsonText, input: InputInfo, info: NodeInfo): Complaint | undefined {
  const value = sent.get('__value__') ?? sent;
  switch (input.type) {
    case 'INT':
    case 'FLOAT':
      return checkNumber(value, input, info);
    case 'COMBO':
      return checkChoice(value, input, info);
    default:
      return undefined;
  }
}

function checkNumber(value: JsonText, input: InputInfo, info: NodeInfo): Complaint | undefined {
  const number = maybeNumber(value, input.type === 'INT');
  if (number === undefined) return complaint('invalid_input_type', about(input, value));
  const bound = (name: 'min' | 'max') => {
    const declared = input.options?.get(name);
    return declared?.kind === 'number' ? maybeNumber(declared, false) : undefined;
  };
  const [min, max] = [bound('min'), bound('max')];
  const isCertain = isCore(info);
  if (min !== undefined && compareNumbers(number, min) < 0)
    return complaint('value_smaller_than_min', about(input, value), isCertain);
  if (max !== undefined && compareNumbers(number, max) > 0)
    return complaint('value_bigger_than_max', about(input, value), isCertain);
  return undefined;
}

function checkChoice(value: JsonText, input: InputInfo, info: NodeInfo): Complaint | undefined {
  const wanted = String(value.value());
  if (isUpload(input) || listsChoice(input, wanted) !== false) return undefined;
  const isCertain = isCore(info) && MODEL_FILE.test(wanted);
  return complaint('value_not_in_list', about(input, value), isCertain);
}

/** Loaders of uploaded files take any file that is there when they run; this job may be about to bring it. */
function isUpload(input: InputInfo): boolean {
  return ['image_upload', 'video_upload', 'audio_upload', 'file_upload', 'mesh_upload'].some(
    (option) => hasOption(input, option),
  );
}

/** Classes of `nodes.py` check by declaration alone, loaders of uploaded files aside; other classes may know better. */
function isCore({ module }: NodeInfo): boolean {
  return module === 'nodes';
}

const about = (input: InputInfo, value: JsonText) => ({
  input_name: input.name,
  input_config: input.declaration,
  received_value: value,
});

const MODEL_FILE = /\.(safetensors|sft|ckpt|pt2?|pth|bin|gguf|onnx|pkl)$/i;
