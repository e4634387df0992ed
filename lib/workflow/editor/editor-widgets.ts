import { JsonText } from '../../json.ts';
import { isControlWord } from './control-word.ts';
import type { EditorNode } from './editor-file.ts';
import { rollPrompt } from './dynamic-prompt.ts';
import { textOf } from '../graph.ts';
import {
  hasOption,
  isDynamic,
  listedChoices,
  listsChoice,
  readInputs,
  type InputInfo,
  type NodeInfo,
} from '../node-info.ts';

/** Inputs of a node by name, as JSON. */
export type Values = Map<string, JsonText>;

/**
 * The values of a node's widgets by the names of its inputs. A file has them by name, or in the order in which the class
 * declares its inputs, with words of the editor's own in between.
 */
export function widgetValues(node: EditorNode, info: NodeInfo): Values {
  const values = savedValues(node, info);
  const prompts = info.inputs.filter((input) => hasOption(input, 'dynamicPrompts'));
  for (const { name } of prompts) {
    const text = textOf(values.get(name));
    const rolled = text === undefined ? undefined : rollPrompt(text);
    if (rolled !== undefined && rolled !== text) values.set(name, JsonText.of(rolled));
  }
  return values;
}

function savedValues(node: EditorNode, info: NodeInfo): Values {
  const { namedValues, values } = node;
  if (namedValues?.kind === 'object') return byName(namedValues, { node, info });
  if (values?.kind === 'object') return byName(values, { node, info, withUndeclared: true });
  return new Walk(node, info).values;
}

/**
 * Nodes that keep their values by name (VideoHelperSuite) also have inputs their class does not declare, such as the
 * quality of the chosen format. What is no plain value belongs to the editor: a preview, a button.
 */
function byName(
  saved: JsonText,
  options: {
    readonly node: EditorNode;
    readonly info: NodeInfo;
    readonly withUndeclared?: boolean;
  },
): Values {
  const { node, info, withUndeclared = false } = options;
  const declared = new Map(info.inputs.map((input) => [input.name, input]));
  const members = saved.entries().filter(([name, value]) => {
    if (declared.has(name) || declared.has(name.split('.')[0] ?? '')) return true;
    return withUndeclared && !['object', 'array', 'null'].includes(value.kind);
  });
  const values: Values = new Map(members);
  for (const input of info.inputs) {
    const value = isWidget(input, node) && !values.has(input.name) ? defaultOf(input) : undefined;
    if (value) values.set(input.name, value);
  }
  return values;
}

/** Goes along the declared inputs and the saved values side by side. */
class Walk {
  readonly values: Values = new Map();
  readonly #saved: readonly JsonText[];
  /** Saved values that no declared widget can be for. */
  #surplus: number;
  #at = 0;

  constructor(node: EditorNode, info: NodeInfo) {
    this.#saved = node.values?.items() ?? [];
    const widgets = info.inputs.filter((input) => isWidget(input, node));
    this.#surplus = this.#saved.length - widgets.length;
    this.#take(widgets);
  }

  #take(widgets: readonly InputInfo[], prefix = ''): void {
    for (const [at, input] of widgets.entries()) {
      const saved = this.#saved[this.#at++];
      const value = saved === undefined || saved.kind === 'null' ? defaultOf(input) : saved;
      if (value) this.values.set(prefix + input.name, value);
      this.#skipControls(input, widgets[at + 1]);
      if (input.type === DYNAMIC_COMBO)
        this.#take(chosenInputs(input, value), `${prefix}${input.name}.`);
    }
  }

  /** A seed has the word for what happens after a run behind it; a combo with one has a filter behind that. */
  #skipControls(input: InputInfo, next: InputInfo | undefined): void {
    if (!isControlWord(this.#saved[this.#at])) return;
    const isExpected = isSeed(input) || this.#surplus > 0;
    const isValueOfNext =
      next !== undefined && accepts(next, this.#saved[this.#at]) && this.#surplus <= 0;
    if (!isExpected || isValueOfNext) return;
    const skipped = input.type === 'COMBO' && this.#surplus > 1 ? 2 : 1;
    this.#at += skipped;
    this.#surplus -= skipped;
  }
}

/**
 * Newer editors save a socket for every widget. Older ones saved sockets only for what can be linked, and there a type
 * that is not known here is a widget of an extension when it has a default: what can only be linked has none.
 */
function isWidget(input: InputInfo, { inputs }: EditorNode): boolean {
  if (hasOption(input, 'forceInput')) return false;
  const slot = inputs.find(({ name }) => name === input.name);
  if (slot) return slot.isWidget;
  const hasDefault = input.options?.get('default') !== undefined;
  return WIDGET_TYPES.has(input.type) || (hasDefault && !isDynamic(input));
}

function isSeed(input: InputInfo): boolean {
  const flag = input.options?.get('control_after_generate')?.value();
  return flag === undefined ? /^(noise_)?seed$/.test(input.name) : flag !== false;
}

function accepts(input: InputInfo, value: JsonText | undefined): boolean {
  if (input.type === 'STRING') return true;
  return listsChoice(input, textOf(value) ?? '') ?? false;
}

/** The inputs a choice brings with it (`DynamicCombo` in `comfy_api/latest/_io.py`). */
function chosenInputs({ options }: InputInfo, value: JsonText | undefined): InputInfo[] {
  const choices = options?.get('options')?.items() ?? [];
  const chosen = choices.find((choice) => textOf(choice.get('key')) === textOf(value));
  const inputs = [
    ...readInputs(chosen?.get('inputs')?.get('required'), true),
    ...readInputs(chosen?.get('inputs')?.get('optional'), false),
  ];
  return inputs.filter((input) => WIDGET_TYPES.has(input.type) && !hasOption(input, 'forceInput'));
}

/** What the editor shows for a widget the file has no value for. */
function defaultOf(input: InputInfo): JsonText | undefined {
  const declared = input.options?.get('default');
  if (declared) return declared;
  switch (input.type) {
    case 'STRING':
      return JsonText.of('');
    case 'BOOLEAN':
      return JsonText.of(false);
    case 'INT':
    case 'FLOAT':
      return input.options?.get('min') ?? JsonText.of(0);
    case 'COMBO':
      return firstChoice(input);
    case DYNAMIC_COMBO:
      return input.options?.get('options')?.items()[0]?.get('key');
    default:
      return undefined;
  }
}

function firstChoice(input: InputInfo): JsonText | undefined {
  const [first] = listedChoices(input) ?? [];
  return first === undefined ? undefined : JsonText.of(first);
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
