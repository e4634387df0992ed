import type { JsonText } from '../../json.ts';
import type { GraphNode } from '../graph.ts';
import {
  readInputGroups,
  readNodeInfo,
  type InputInfo,
  type NodeInfo,
  type NodeInfos,
} from '../node-info.ts';

/** An input that ComfyUI expects of a certain node. */
export interface ExpectedInput extends InputInfo {
  /** It comes from a dynamic input: whether ComfyUI expects it depends on other values, and on ComfyUI's version. */
  readonly isNested: boolean;
}

/**
 * The inputs that ComfyUI expects of a node, given the inputs the node has. It replaces dynamic inputs before it validates
 * a node (`get_finalized_class_inputs` in `comfy_api/latest/_io.py`), by what their values ask for:
 * - dynamic combo `size`: itself, and the inputs of the chosen option as `size.width`; nothing if no option is chosen
 * - autogrow `images`: `images.image0`, `images.image1`, ... or the names it lists, but no input `images`
 * - dynamic slot `mask`: itself, and its inputs as `mask.blur`, if `mask` is there; else nothing
 *
 * Dynamic inputs can be nested. One of a kind that is not known here is left out: only ComfyUI can check it.
 */
export function expectedInputs(
  { inputs }: Pick<NodeInfo, 'inputs'>,
  sent: ReadonlyMap<string, JsonText>,
): ExpectedInput[] {
  return inputs.flatMap((input) => expand(input, { path: input.name, isNested: false, sent }));
}

/** How the class of a node declares an input, as `[type, options]`. Undefined if it does not, or is not known. */
export function declarationOf(
  { classType = '', inputs = new Map() }: Pick<GraphNode, 'classType' | 'inputs'>,
  inputName: string,
  infos: NodeInfos | undefined,
): JsonText | undefined {
  const info = infos?.get(classType);
  const declared = info?.get('input');
  if (!info || !inputName.includes('.'))
    return declared?.get('required')?.get(inputName) ?? declared?.get('optional')?.get(inputName);
  return expectedInputs(readNodeInfo(info), inputs).find(({ name }) => name === inputName)
    ?.declaration;
}

interface Position {
  /** The name with the names of all inputs around it. */
  readonly path: string;
  readonly isNested: boolean;
  readonly sent: ReadonlyMap<string, JsonText>;
}

function expand(input: InputInfo, position: Position): ExpectedInput[] {
  const { path, isNested, sent } = position;
  if (!input.isDynamic) return [{ ...input, name: path, isNested }];
  const own = { ...input, name: path, isNested };
  const within = (groups: JsonText | undefined) =>
    readInputGroups(groups).flatMap((inner) =>
      expand(inner, { path: `${path}.${inner.name}`, isNested: true, sent }),
    );
  const value = sent.get(path);
  switch (input.type) {
    case 'COMFY_DYNAMICCOMBO_V3': {
      const options = input.options?.get('options')?.items() ?? [];
      const chosen = options.find((option) => isSameText(option.get('key'), value));
      return chosen ? [...within(chosen.get('inputs')), own] : [];
    }
    case 'COMFY_DYNAMICSLOT_V3':
      return value ? [...within(input.options?.get('inputs')), own] : [];
    case 'COMFY_AUTOGROW_V3':
      return elements(input).map((element) => {
        return { ...element, name: `${path}.${element.name}`, isNested: true };
      });
    default:
      return [];
  }
}

/** The elements an autogrow input may have. Only the first ones are required. */
function elements({ options }: InputInfo): InputInfo[] {
  const template = options?.get('template');
  const number = (name: string) => Number(template?.get(name)?.value() ?? 0);
  const prefix = template?.get('prefix')?.asString() ?? '';
  const listed = template
    ?.get('names')
    ?.items()
    .map((name) => String(name.value()));
  const names = (
    listed ??
    Array.from({ length: Math.min(number('max'), MAX_ELEMENTS) }, (_, at) => `${prefix}${at}`)
  ).slice(0, MAX_ELEMENTS);
  const [element] = readInputGroups(template?.get('input'));
  if (!element) return [];
  return names.map((name, at) => {
    return { ...element, name, isRequired: element.isRequired && at < number('min') };
  });
}

/** `_MaxNames` of ComfyUI's `Autogrow`. */
const MAX_ELEMENTS = 100;

function isSameText(a: JsonText | undefined, b: JsonText | undefined): boolean {
  const text = a?.asString();
  return text !== undefined && text === b?.asString();
}
