import { choicesOf, hasChoice } from '../choices.ts';
import type { JsonText } from '../json.ts';
import { textOf } from './graph.ts';

/** What `/object_info` says of classes, by name; a class that is not there is not installed. */
export type NodeInfos = ReadonlyMap<string, JsonText>;

/** An input as its class declares it: `[type, options]`. */
export interface InputInfo {
  readonly name: string;
  readonly isRequired: boolean;
  /** `IMAGE`, `INT,FLOAT`, `*`; every list of choices is a `COMBO`. */
  readonly type: string;
  readonly declaration: JsonText;
  readonly options: JsonText | undefined;
}

/** A class of nodes. Inputs are in the order in which the editor shows and saves them. */
export interface NodeInfo {
  readonly inputs: readonly InputInfo[];
  readonly outputs: readonly JsonText[];
  readonly isOutput: boolean;
  readonly displayName: string | undefined;
  /** The Python module the class is from: `nodes` and `comfy_extras.*` belong to ComfyUI itself. */
  readonly module: string | undefined;
}

export function readNodeInfo(entry: JsonText): NodeInfo {
  const input = entry.get('input');
  return {
    inputs: [
      ...readInputs(input?.get('required'), true),
      ...readInputs(input?.get('optional'), false),
    ],
    outputs: entry.get('output')?.items() ?? [],
    isOutput: entry.get('output_node')?.value() === true,
    displayName: textOf(entry.get('display_name')),
    module: textOf(entry.get('python_module')),
  };
}

export function readInputs(group: JsonText | undefined, isRequired: boolean): InputInfo[] {
  return (group?.entries() ?? []).map(([name, declaration]) => {
    const [type, options] = declaration.items();
    return { name, isRequired, type: typeOf(type), declaration, options };
  });
}

function typeOf(type: JsonText | undefined): string {
  return type?.kind === 'array' ? 'COMBO' : (textOf(type) ?? '');
}

/** The choices of a combo; undefined where they are none, or are made elsewhere (`remote`). */
export function listedChoices(input: InputInfo): string[] | undefined {
  return isListed(input) ? choicesOf(input.declaration) : undefined;
}

/** Whether a combo lists a choice; undefined where nothing is listed. */
export function listsChoice(input: InputInfo, wanted: string): boolean | undefined {
  return isListed(input) ? hasChoice(input.declaration, wanted) : undefined;
}

const isListed = ({ type, options }: InputInfo) => type === 'COMBO' && !options?.get('remote');

/** Whether an option of the input is set to `true`. */
export function hasOption({ options }: InputInfo, name: string): boolean {
  return options?.get(name)?.value() === true;
}

/** Inputs whose name and number depend on other values (`comfy_api/latest/_io.py`): only ComfyUI can check them. */
export function isDynamic({ type }: InputInfo): boolean {
  return /^COMFY_\w+_V\d+$/.test(type);
}
