import type { JsonText } from '../../json.ts';
import { isControlWord } from './control-word.ts';
import type { EditorNode } from './editor-file.ts';

/**
 * The value an instance of a subgraph has for one of its inputs that shows a widget. Undefined when it has none of its
 * own: then the inner node keeps its value.
 */
export function promotedValue(node: EditorNode, inputName: string): JsonText | undefined {
  const named = node.namedValues?.get(inputName);
  if (named) return named;
  const values = node.values?.items() ?? [];
  const value = isByShownWidget(node, values)
    ? byShown(node, values, ['-1', inputName])
    : byPlace(node, values, inputName);
  return value?.kind === 'null' ? undefined : value;
}

/** The values an instance has for widgets of inner nodes, by `inner node id` and widget. */
export function shownValues(node: EditorNode, innerId: string): ReadonlyMap<string, JsonText> {
  const values = node.values?.items() ?? [];
  if (!isByShownWidget(node, values)) return new Map();
  return new Map(
    node.shownWidgets.flatMap(([shownId, widget], at) => {
      const value = values[at];
      return shownId === innerId && value && value.kind !== 'null'
        ? [[widget, value] as const]
        : [];
    }),
  );
}

/** One value for each widget that is shown; other files have one for each input with a widget. */
function isByShownWidget({ shownWidgets }: EditorNode, values: readonly JsonText[]): boolean {
  return shownWidgets.length > 0 && shownWidgets.length === values.length;
}

function byShown(
  { shownWidgets }: EditorNode,
  values: readonly JsonText[],
  [innerId, widget]: readonly [string, string],
): JsonText | undefined {
  return values[shownWidgets.findIndex((shown) => shown[0] === innerId && shown[1] === widget)];
}

/** Files of some versions keep what happens to a seed after a run behind the seed; it has no input. */
function byPlace(
  { inputs }: EditorNode,
  values: readonly JsonText[],
  inputName: string,
): JsonText | undefined {
  const widgets = inputs.filter(({ isWidget }) => isWidget);
  const own =
    values.length > widgets.length ? values.filter((value) => !isControlWord(value)) : values;
  return own[widgets.findIndex(({ name }) => name === inputName)];
}
