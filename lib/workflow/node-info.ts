import { choicesOf, hasChoice } from '../choices.ts';
import type { JsonText } from '../json.ts';

/** Descriptions of node classes from `/object_info`, by class name. A class that is missing here is not installed. */
export type NodeInfos = ReadonlyMap<string, JsonText>;

/** An input as its class declares it: `[type, options]`. */
export interface InputInfo {
  readonly name: string;
  readonly isRequired: boolean;
  /** For example `IMAGE`, `INT,FLOAT` or `*`. A list of choices has the type `COMBO`. */
  readonly type: string;
  /** The input stands for others, whose names and number depend on values: see `check/dynamic-inputs.ts`. */
  readonly isDynamic: boolean;
  readonly declaration: JsonText;
  readonly options: JsonText | undefined;
}

/** A node class. Inputs are in the order in which the editor shows and saves them. */
export interface NodeInfo {
  readonly inputs: readonly InputInfo[];
  readonly outputs: readonly JsonText[];
  readonly isOutput: boolean;
  readonly displayName: string | undefined;
  /** The Python module of the class. `nodes` and `comfy_extras.*` belong to ComfyUI itself. */
  readonly module: string | undefined;
}

/** Reads the description of one class. */
export function readNodeInfo(entry: JsonText): NodeInfo {
  return {
    inputs: readInputGroups(entry.get('input')),
    outputs: entry.get('output')?.items() ?? [],
    isOutput: entry.get('output_node')?.value() === true,
    displayName: entry.get('display_name')?.asString(),
    module: entry.get('python_module')?.asString(),
  };
}

/** Reads all declared inputs: the required ones, then the optional ones. */
export function readInputGroups(groups: JsonText | undefined): InputInfo[] {
  return [
    ...readInputs(groups?.get('required'), true),
    ...readInputs(groups?.get('optional'), false),
  ];
}

/** Reads one group of declared inputs, by name: the `required` or the `optional` ones. */
export function readInputs(group: JsonText | undefined, isRequired: boolean): InputInfo[] {
  return (group?.entries() ?? []).map(([name, declaration]) => {
    const [declaredType, options] = declaration.items();
    const type = declaredType?.kind === 'array' ? 'COMBO' : (declaredType?.asString() ?? '');
    // A match type only says that some types are the same. ComfyUI checks such an input like any other.
    const isDynamic = /^COMFY_\w+_V\d+$/.test(type) && type !== MATCH_TYPE;
    return { name, isRequired, type, isDynamic, declaration, options };
  });
}

/** The type of an input or output that takes any type, of which ComfyUI leaves the check to the editor. */
export const MATCH_TYPE = 'COMFY_MATCHTYPE_V3';

/** The choices of a combo; undefined if it lists none, or takes them from elsewhere (`remote`). */
export function listedChoices(input: InputInfo): string[] | undefined {
  return isListed(input) ? choicesOf(input.declaration) : undefined;
}

/** Whether a combo lists `choice`; undefined if it lists none. */
export function listsChoice(input: InputInfo, choice: string): boolean | undefined {
  return isListed(input) ? hasChoice(input.declaration, choice) : undefined;
}

const isListed = ({ type, options }: InputInfo) => type === 'COMBO' && !options?.get('remote');

/** Whether an option of the input is `true`. */
export function hasOption({ options }: InputInfo, name: string): boolean {
  return options?.get(name)?.value() === true;
}
