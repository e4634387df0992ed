import type { JsonText } from '../../json.ts';
import { hasOption, listsChoice, type InputInfo, type NodeInfo } from '../node-info.ts';
import { DYNAMIC_COMBO, DYNAMIC_GROUP, hasChosenOption } from './dynamic-inputs.ts';
import type { EditorNode } from './editor-file.ts';
import { FORMER_ORDER, isMenu, OWN_WIDGETS, previewOf, renewNames } from './pack-widgets.ts';
import {
  defaultOf,
  UNSAVED_TYPES,
  widgetsOf,
  widgetType,
  type Widget,
  type WidgetListOptions,
} from './widget-list.ts';

/** Input values of a node by input name, as JSON. */
export type WidgetValues = Map<string, JsonText>;

/** Values by name, or undefined if the saved values fit no order of the widgets. */
export type SavedValues = WidgetValues | undefined;

/**
 * Reads the saved values of a node's widgets. A file has them by name, or as an array in the order of the widgets.
 * In an array a value can stand at a wrong place: the class has changed, or the file was not written by the editor. Then
 * another order is tried. If none fits, the values are not guessed.
 */
export function savedValues(node: EditorNode, info: NodeInfo): SavedValues {
  const { type, namedValues, values } = node;
  const saved = values?.items() ?? [];
  const readOwn = OWN_WIDGETS.get(type);
  if (readOwn) {
    const own = namedValues?.entries().map(([, value]) => value) ?? saved;
    return new Map(readOwn(own, node));
  }
  if (namedValues?.kind === 'object') {
    const members = namedValues.entries();
    // A file that names only some of its values has the others by position.
    const unnamed = members.length < saved.length ? byPosition(node, info, saved) : undefined;
    return byName(node, info, [...(unnamed ?? []), ...members]);
  }
  if (values?.kind === 'object') return byName(node, info, values.entries());
  const names = FORMER_ORDER.get(type);
  if (names && saved.length >= names.length) return byName(node, info, named(names, saved));
  return byPosition(node, info, saved);
}

function named(names: readonly (string | undefined)[], saved: readonly JsonText[]) {
  return names.flatMap((name, index): [string, JsonText][] => {
    const value = saved[index];
    return name !== undefined && value ? [[name, value]] : [];
  });
}

function byName(node: EditorNode, info: NodeInfo, members: [string, JsonText][]): WidgetValues {
  const saved = renewNames(node.type, new Map(members));
  const { values } = fill(node, widgetsOf(info, node), (widget) =>
    widget.kind === 'control' ? undefined : saved.get(widget.name),
  );
  if (node.namedValues || info.inputs.some(({ options }) => options?.get('formats'))) return values;
  return new Map([...[...saved].filter(([, { kind }]) => PLAIN_KINDS.has(kind)), ...values]);
}

/**
 * Nodes that save by name (VideoHelperSuite) also have inputs their class does not declare, such as the quality of the
 * chosen format. Values that are not plain belong to the editor: a preview, a button.
 */
const PLAIN_KINDS: ReadonlySet<string> = new Set(['string', 'number', 'boolean']);

/** The ways to read an array, the editor's own first. */
const ATTEMPTS: readonly (WidgetListOptions & { readonly onlyControlWords?: boolean })[] = [
  { withForced: true },
  {},
  { onlyControlWords: true },
  { bySlots: true },
  { bySlots: true, onlyControlWords: true },
];

/**
 * Values of a wrong type that ComfyUI converts do not prove that an order is wrong. They are kept if there is exactly one
 * value for each widget, and no other order fits better.
 */
function byPosition(node: EditorNode, info: NodeInfo, saved: readonly JsonText[]): SavedValues {
  let odd: SavedValues;
  const hasForced = info.inputs.some((input) => hasOption(input, 'forceInput'));
  for (const attempt of ATTEMPTS) {
    const { withForced, onlyControlWords } = attempt;
    if (withForced && !hasForced) continue;
    let position = 0;
    const { values, misfits, oddities } = fill(node, widgetsOf(info, node, attempt), (widget) => {
      if (widget.kind === 'input' && UNSAVED_TYPES.has(widgetType(widget.input))) return undefined;
      const next = saved[position];
      const isSkipped = widget.kind === 'control' && onlyControlWords && !isControlWord(next);
      if (isSkipped) return undefined;
      position++;
      return next;
    });
    const isExact = position === saved.length;
    if (misfits > 0 || (withForced && !isExact)) continue;
    if (oddities === 0) return values;
    if (isExact) odd ??= values;
  }
  return odd;
}

/** Gives each widget its value or its default, and counts the values that their widgets cannot have. */
function fill(
  node: EditorNode,
  widgets: ReturnType<typeof widgetsOf>,
  take: (widget: Widget) => JsonText | undefined,
): { readonly values: WidgetValues; readonly misfits: number; readonly oddities: number } {
  const values: WidgetValues = new Map();
  const preview = previewOf(node);
  let misfits = 0;
  let oddities = 0;
  for (let step = widgets.next(); !step.done;) {
    const widget = step.value;
    const taken = take(widget);
    const isPreview = preview !== undefined && widget.kind === 'input' && widget.name === 'image';
    const isIgnored = isPreview || taken?.kind === 'null' || isFixed(widget, node);
    const saved = isIgnored ? undefined : taken;
    const fit = saved ? fitOf(widget, saved, node) : 'fits';
    if (fit === 'misfit') misfits++;
    if (fit === 'odd') oddities++;
    const value = isPreview ? preview : (saved ?? defaultValue(widget));
    if (value && isSent(widget)) values.set(widget.name, value);
    step = widgets.next(value);
  }
  return { values, misfits, oddities };
}

/** Whether the value is always the default, whatever is saved. */
function isFixed(widget: Widget, { type }: EditorNode): boolean {
  if (widget.kind === 'extra') return widget.extra.isFixed === true;
  return widget.kind === 'input' && isMenu(type, widget.name);
}

function defaultValue(widget: Widget): JsonText | undefined {
  switch (widget.kind) {
    case 'input':
      return defaultOf(widget.input);
    case 'extra':
      return widget.extra.value;
    case 'control':
      return undefined;
  }
}

function isSent(widget: Widget): widget is Exclude<Widget, { kind: 'control' }> {
  if (widget.kind !== 'input') return widget.kind === 'extra';
  return !hasOption(widget.input, 'forceInput') && widget.input.type !== DYNAMIC_GROUP;
}

/** Whether a widget can have a value. `odd` is a wrong type that ComfyUI converts. */
type Fit = 'fits' | 'odd' | 'misfit';

function fitOf(widget: Widget, value: JsonText, { inputs }: EditorNode): Fit {
  switch (widget.kind) {
    case 'extra':
      return 'fits';
    case 'control':
      return acceptsControl(value, widget.isFilter) ? 'fits' : 'misfit';
    case 'input': {
      if (hasOption(widget.input, 'forceInput')) return 'fits';
      const fit = inputFit(widget.input, value);
      // The value of a linked input is not sent, so a wrong one does no harm.
      const isLinked = inputs.some(
        ({ name, linkId }) => name === widget.name && linkId !== undefined,
      );
      return fit === 'misfit' && isLinked ? 'odd' : fit;
    }
  }
}

/** Choices are not compared: a model that is not installed is a choice, too. */
export function inputFit(input: InputInfo, value: JsonText): Fit {
  const { kind } = value;
  switch (widgetType(input)) {
    case 'INT':
    case 'FLOAT':
      if (kind === 'number' || isNumeric(value)) return 'fits';
      return kind === 'boolean' ? 'odd' : 'misfit';
    case 'STRING':
      if (kind === 'string') return 'fits';
      return kind === 'number' || kind === 'boolean' ? 'odd' : 'misfit';
    case 'BOOLEAN':
      if (kind === 'boolean' || isSwitchWord(input, value)) return 'fits';
      return kind === 'number' ? 'odd' : 'misfit';
    case 'COMBO':
      if (kind === 'string' || kind === 'array') return 'fits';
      return listsChoice(input, String(value.value())) === false ? 'misfit' : 'fits';
    case DYNAMIC_COMBO:
      return hasChosenOption(input, value) ? 'fits' : 'misfit';
    default:
      return 'fits';
  }
}

/** Classes whose booleans were combos before. ComfyUI takes any word for true, as in the editor. */
function isSwitchWord({ options }: InputInfo, value: JsonText): boolean {
  const labels = ['label_on', 'label_off'].map((name) => options?.get(name)?.text);
  return labels.includes(value.text) || SWITCH_WORDS.test(value.asString() ?? '');
}

const SWITCH_WORDS = /^(true|false|enabled?|disabled?|on|off|yes|no)$/i;

function isNumeric(value: JsonText): boolean {
  const text = value.asString()?.trim();
  return text !== undefined && text !== '' && !Number.isNaN(Number(text));
}

/** Old files have a boolean, null or an empty text in place of the word. */
function acceptsControl(value: JsonText, isFilter: boolean): boolean {
  if (value.kind === 'string') return isFilter || value.text === '""' || isControlWord(value);
  return value.kind === 'boolean';
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
