import { randomInt } from 'node:crypto';
import { JsonText } from '../../json.ts';
import {
  hasOption,
  listedChoices,
  listsChoice,
  readInputs,
  type InputInfo,
  type NodeInfo,
} from '../node-info.ts';
import type { EditorNode } from './editor-file.ts';

/** Input values of a node by input name, as JSON. */
export type WidgetValues = Map<string, JsonText>;

/**
 * The values of a node's widgets by input name. A file has them by name, or as an array in the order in which the class
 * declares its inputs. Such an array also holds control words, which belong to no input.
 */
export function widgetValues(node: EditorNode, info: NodeInfo): WidgetValues {
  const values = savedValues(node, info);
  const prompts = info.inputs.filter((input) => hasOption(input, 'dynamicPrompts'));
  for (const { name } of prompts) {
    const text = values.get(name)?.asString();
    const rolled = text === undefined ? undefined : rollPrompt(text);
    if (rolled !== undefined && rolled !== text) values.set(name, JsonText.of(rolled));
  }
  return values;
}

function savedValues(node: EditorNode, info: NodeInfo): WidgetValues {
  const { namedValues, values } = node;
  const declared = new Set(info.inputs.map(({ name }) => name));
  const isDeclared = (name: string) => declared.has(name) || declared.has(name.split('.')[0] ?? ''); // `how.width` belongs to `how`
  if (namedValues?.kind === 'object') {
    const members = namedValues.entries().filter(([name]) => isDeclared(name));
    return withDefaults(new Map(members), node, info);
  }
  if (values?.kind === 'object') {
    // Nodes that save by name (VideoHelperSuite) also have inputs their class does not declare, such as the quality of the
    // chosen format. Undeclared values that are not plain belong to the editor: a preview, a button.
    const members = values
      .entries()
      .filter(([name, { kind }]) => isDeclared(name) || PLAIN_KINDS.has(kind));
    return withDefaults(new Map(members), node, info);
  }
  return new PositionalReader(node, info).values;
}

/** Adds the defaults of widgets that have no value. */
function withDefaults(values: WidgetValues, node: EditorNode, info: NodeInfo): WidgetValues {
  for (const input of info.inputs) {
    const value = isWidget(input, node) && !values.has(input.name) ? defaultOf(input) : undefined;
    if (value) values.set(input.name, value);
  }
  return values;
}

const PLAIN_KINDS: ReadonlySet<string> = new Set(['string', 'number', 'boolean']);

/** Reads an array of saved values: walks along the declared inputs and the array side by side. */
class PositionalReader {
  readonly values: WidgetValues = new Map();
  readonly #saved: readonly JsonText[];
  /** How many more values are saved than widgets are declared. */
  #surplus: number;
  #position = 0;

  constructor(node: EditorNode, info: NodeInfo) {
    this.#saved = node.values?.items() ?? [];
    const widgets = info.inputs.filter((input) => isWidget(input, node));
    this.#surplus = this.#saved.length - widgets.length;
    this.#read(widgets);
  }

  #read(widgets: readonly InputInfo[], prefix = ''): void {
    for (const [index, input] of widgets.entries()) {
      const saved = this.#saved[this.#position++];
      const value = saved === undefined || saved.kind === 'null' ? defaultOf(input) : saved;
      if (value) this.values.set(prefix + input.name, value);
      this.#skipControlWord(input, widgets[index + 1]);
      if (input.type === DYNAMIC_COMBO)
        this.#read(chosenInputs(input, value), `${prefix}${input.name}.`);
    }
  }

  /** A seed may be followed by a control word. After a combo's control word comes a filter, which is skipped, too. */
  #skipControlWord(input: InputInfo, next: InputInfo | undefined): void {
    const saved = this.#saved[this.#position];
    if (!isControlWord(saved)) return;
    const isExpected = isSeed(input) || this.#surplus > 0;
    const isValueOfNext = next !== undefined && this.#surplus <= 0 && accepts(next, saved);
    if (!isExpected || isValueOfNext) return;
    const skipped = input.type === 'COMBO' && this.#surplus > 1 ? 2 : 1;
    this.#position += skipped;
    this.#surplus -= skipped;
  }
}

/** Says how the editor changes a value after a run. It is saved after the value, like a widget without an input. */
export function isControlWord(value: JsonText | undefined): boolean {
  return CONTROL_WORDS.has(value?.asString() ?? '');
}

const CONTROL_WORDS: ReadonlySet<string> = new Set([
  'fixed',
  'increment',
  'decrement',
  'randomize',
  'increment-wrap',
]);

/**
 * Newer editors save a slot for every widget. Older ones saved slots only for inputs that can be linked. Then an unknown
 * type is the widget of an extension if it has a default, because inputs that can only be linked have none.
 */
function isWidget(input: InputInfo, { inputs }: EditorNode): boolean {
  if (hasOption(input, 'forceInput')) return false;
  const slot = inputs.find(({ name }) => name === input.name);
  if (slot) return slot.isWidget;
  const hasDefault = input.options?.get('default') !== undefined;
  return WIDGET_TYPES.has(input.type) || (hasDefault && !input.isDynamic);
}

function isSeed(input: InputInfo): boolean {
  const flag = input.options?.get('control_after_generate')?.value();
  return flag === undefined ? /^(noise_)?seed$/.test(input.name) : flag !== false;
}

function accepts(input: InputInfo, value: JsonText | undefined): boolean {
  if (input.type === 'STRING') return true;
  return listsChoice(input, value?.asString() ?? '') ?? false;
}

/** The further inputs of the chosen option (`DynamicCombo` in `comfy_api/latest/_io.py`). */
function chosenInputs({ options }: InputInfo, value: JsonText | undefined): InputInfo[] {
  const choices = options?.get('options')?.items() ?? [];
  const key = value?.asString();
  const chosen = choices.find((choice) => choice.get('key')?.asString() === key);
  const inputs = [
    ...readInputs(chosen?.get('inputs')?.get('required'), true),
    ...readInputs(chosen?.get('inputs')?.get('optional'), false),
  ];
  return inputs.filter((input) => WIDGET_TYPES.has(input.type) && !hasOption(input, 'forceInput'));
}

/** The value the editor shows in a widget for which the file has no value. */
function defaultOf(input: InputInfo): JsonText | undefined {
  const { type, options } = input;
  const declared = options?.get('default');
  if (declared) return declared;
  switch (type) {
    case 'STRING':
      return JsonText.of('');
    case 'BOOLEAN':
      return JsonText.of(false);
    case 'INT':
    case 'FLOAT':
      return options?.get('min') ?? JsonText.of(0);
    case 'COMBO': {
      const [first] = listedChoices(input) ?? [];
      return first === undefined ? undefined : JsonText.of(first);
    }
    case DYNAMIC_COMBO:
      return options?.get('options')?.items()[0]?.get('key');
    default:
      return undefined;
  }
}

const DYNAMIC_COMBO = 'COMFY_DYNAMICCOMBO_V3';
const WIDGET_TYPES: ReadonlySet<string> = new Set([
  'INT',
  'FLOAT',
  'STRING',
  'BOOLEAN',
  'COMBO',
  DYNAMIC_COMBO,
]);

/**
 * Does what the editor does to a prompt before it submits it: removes comments, and replaces `{day|night}` by one of the
 * choices at random, nested ones included. A backslash keeps a brace or bar as it is. ComfyUI itself knows none of this.
 */
export function rollPrompt(text: string): string {
  let rolled = text.replace(COMMENT, (comment, end?: string) => (end === '' ? comment : ''));
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    const before = rolled;
    rolled = before.replace(INNERMOST_CHOICE, (_, choices: string) => {
      const options = choices.split(BAR);
      return options[randomInt(options.length)] ?? '';
    });
    if (rolled === before) break;
  }
  return rolled.replace(/\\([{}|])/g, '$1');
}

/** The group is empty if a comment never ends. Such text is no comment, and matching it whole avoids a search from every start. */
const COMMENT = /\/\*[\s\S]*?(\*\/|$)|\/\/.*/g;
/** Every character matches in one way only (an escape, a lone backslash, or another character), so there is no backtracking. */
const INNERMOST_CHOICE = /(?<!\\)\{((?:\\[{}|]|\\(?![{}|])|[^{}\\])*)\}/g;
const BAR = /(?<!\\)\|/;
const MAX_DEPTH = 50;
