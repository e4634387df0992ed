import { JsonText } from '../../json.ts';
import { hasOption, listedChoices, type InputInfo, type NodeInfo } from '../node-info.ts';
import {
  AUTOGROW,
  DYNAMIC_COMBO,
  DYNAMIC_GROUP,
  dependentInputs,
  grownInputs,
} from './dynamic-inputs.ts';
import type { EditorNode } from './editor-file.ts';
import { EXTRA_WIDGETS, type ExtraWidget } from './pack-widgets.ts';

/** A widget of a node. An array of saved values has a place for each, in this order. */
export type Widget =
  /** The widget of an input that the class declares. `name` has the dots of dynamic inputs. */
  | { readonly kind: 'input'; readonly name: string; readonly input: InputInfo }
  /** A widget that only the editor knows. Its value is sent under `name`. */
  | { readonly kind: 'extra'; readonly name: string; readonly extra: ExtraWidget }
  /** Stands behind a seed and says how the editor changes it after a run. It belongs to no input. */
  | { readonly kind: 'control'; readonly isFilter: boolean };

/** Deviations from the widgets that the editor makes, for files that were not saved by it. */
export interface WidgetListOptions {
  /** Forced inputs had widgets in old versions. Their values still have places. */
  readonly withForced?: boolean;
  /** Only inputs have a widget whose slot in the file says so. */
  readonly bySlots?: boolean;
}

/**
 * The widgets of a node in the editor's order. Further widgets can depend on the value of a dynamic input, so the caller
 * answers each widget with its value.
 */
export function* widgetsOf(
  info: NodeInfo,
  node: EditorNode,
  options: WidgetListOptions = {},
): Generator<Widget, void, JsonText | undefined> {
  const extras = EXTRA_WIDGETS.get(node.type) ?? [];
  yield* extraWidgets(extras, '');
  for (const input of info.inputs) {
    yield* inputWidgets([input], '', node, options);
    yield* extraWidgets(extras, input.name);
  }
  yield* extraWidgets(extras, undefined);
}

function* extraWidgets(
  extras: readonly ExtraWidget[],
  after: string | undefined,
): Generator<Widget, void, JsonText | undefined> {
  for (const extra of extras) {
    if (extra.after === after) yield { kind: 'extra', name: extra.name, extra };
  }
}

function* inputWidgets(
  inputs: readonly InputInfo[],
  prefix: string,
  node: EditorNode,
  options: WidgetListOptions,
): Generator<Widget, void, JsonText | undefined> {
  for (const input of inputs) {
    const name = prefix + input.name;
    if (input.type === AUTOGROW) {
      const slots = node.inputs.map((slot) => slot.name);
      yield* inputWidgets(grownInputs(input, name, slots), `${name}.`, node, options);
      continue;
    }
    if (!hasWidget(input, name, node, options)) continue;
    const value = yield { kind: 'input', name, input };
    if (isSeed(input)) {
      yield { kind: 'control', isFilter: false };
      if (input.type === 'COMBO') yield { kind: 'control', isFilter: true };
    }
    for (const { inputs: more, prefix: start } of dependentInputs(input, name, value)) {
      yield* inputWidgets(more, start, node, options);
    }
  }
}

/**
 * Whether the editor shows a widget for an input. For a type that it does not know, the slot in the file says so. Old files
 * have slots only for inputs that can be linked; then a default tells the widget of an extension from an input that can
 * only be linked.
 */
function hasWidget(
  input: InputInfo,
  name: string,
  { inputs }: EditorNode,
  { withForced, bySlots }: WidgetListOptions,
): boolean {
  if (hasOption(input, 'forceInput')) return withForced === true;
  const slot = inputs.find((one) => one.name === name);
  if (bySlots && slot) return slot.isWidget;
  if (WIDGET_TYPES.has(widgetType(input))) return true;
  if (slot) return slot.isWidget;
  const ownDefault = input.options?.get('default');
  return (
    ownDefault !== undefined && ownDefault.kind !== 'null' && !input.isDynamic && input.type !== '*'
  );
}

/** The type that decides about the widget. `widgetType` is for inputs that also take other types by link. */
export function widgetType({ type, options }: InputInfo): string {
  return options?.get('widgetType')?.asString() ?? type;
}

/** Seeds have a control behind them, if their class does not decide otherwise. */
function isSeed(input: InputInfo): boolean {
  const flag = input.options?.get('control_after_generate')?.value();
  if (flag === undefined) return input.type === 'INT' && /^(noise_)?seed$/.test(input.name);
  return flag !== false && flag !== null;
}

/** The value the editor shows in a widget for which the file has no value. */
export function defaultOf(input: InputInfo): JsonText | undefined {
  const { options } = input;
  const declared = options?.get('default');
  if (declared) return declared;
  const type = widgetType(input);
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
    case DYNAMIC_GROUP:
      return options?.get('min');
    case 'IMAGECOMPARE':
      return JsonText.of(['', '']);
    default:
      return undefined;
  }
}

/** Widgets that the editor shows but leaves out of the saved array. */
export const UNSAVED_TYPES: ReadonlySet<string> = new Set(['IMAGECOMPARE']);

/** Input types for which the editor itself has a widget. */
const WIDGET_TYPES: ReadonlySet<string> = new Set([
  'INT',
  'FLOAT',
  'STRING',
  'BOOLEAN',
  'COMBO',
  DYNAMIC_COMBO,
  DYNAMIC_GROUP,
  'AUDIO_RECORD',
  'BOUNDING_BOX',
  'BOUNDING_BOXES',
  'COLOR',
  'COLORS',
  'COMPOSITOR',
  'CURVE',
  'IMAGECOMPARE',
  'LOAD_3D',
  'MARKDOWN',
  'PAINTER',
  'RANGE',
  'TEXTAREA',
  'VIDEO_EDIT',
  'WEBCAM',
]);
