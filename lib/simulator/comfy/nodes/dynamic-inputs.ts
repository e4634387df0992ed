/**
 * Inputs whose names and number depend on the values sent (`get_finalized_class_inputs` and `build_nested_inputs` in
 * ComfyUI's `comfy_api/latest/_io.py`). Clients send them under names with dots (`resize_type.width`, `values.a`,
 * `loras.0.strength`); nodes receive them as nested objects.
 */

import type { InputSpec, NodeInfo } from './node-info.ts';

export interface DeclaredInput {
  readonly name: string;
  /** Its name in errors: without the names of the inputs it depends on. */
  readonly label: string;
  readonly required: boolean;
  readonly type: string | readonly unknown[];
  readonly options: Readonly<Record<string, unknown>>;
}

/** The inputs sent to a node: a Map, or anything that can say which names it has. */
export interface SentInputs {
  has(name: string): boolean;
  get(name: string): unknown;
}

interface Expansion {
  readonly required: DeclaredInput[];
  readonly optional: DeclaredInput[];
  /** Names of inputs that belong into a nested object, with their places there. */
  readonly places: Map<string, readonly string[]>;
  /** Inputs that are an empty object when none of their elements was sent. */
  readonly empty: Set<string>;
  readonly sent: SentInputs;
}

type Specs = Readonly<Record<string, unknown>>;
type Groups = Readonly<Record<string, Specs | undefined>>;

/** The inputs a node has for the values sent. Required inputs first, in the order of their declaration. */
export function declaredInputs(info: NodeInfo, sent: SentInputs): DeclaredInput[] {
  const { required, optional } = expand(info, sent);
  return [...required, ...optional];
}

/** Moves values of dynamic inputs into the objects that nodes expect: `{"size.width": 8}` becomes `{size: {width: 8}}`. */
export function nestInputs(
  info: NodeInfo,
  sent: SentInputs,
  values: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const { places, empty } = expand(info, sent);
  if (places.size === 0 && empty.size === 0) return { ...values };
  const flat = Object.entries(values).filter(([name]) => !places.has(name));
  const nested: Record<string, unknown> = Object.fromEntries(flat);
  for (const name of empty) setAt(nested, name.split('.'), {});
  for (const [name, place] of places) {
    if (name in values) setAt(nested, place, values[name]);
  }
  return nested;
}

function setAt(target: Record<string, unknown>, place: readonly string[], value: unknown): void {
  const [last = '', ...parents] = [...place].reverse();
  let object = target;
  for (const name of parents.reverse()) {
    const inner = object[name];
    object = (
      typeof inner === 'object' && inner !== null ? inner : (object[name] = {})
    ) as typeof object;
  }
  object[last] = value;
}

function expand(info: NodeInfo, sent: SentInputs): Expansion {
  const expansion: Expansion = {
    required: [],
    optional: [],
    places: new Map(),
    empty: new Set(),
    sent,
  };
  const { required, optional } = info.input;
  addInputs({ required, optional }, [], expansion);
  return expansion;
}

function addInputs(groups: Groups, prefix: readonly string[], expansion: Expansion): void {
  for (const [group, specs] of Object.entries(groups)) {
    for (const [id, spec] of Object.entries(specs ?? {})) {
      const path = [...prefix, id];
      addInput(path, spec as InputSpec, group === 'required', expansion);
      const name = path.join('.');
      if (prefix.length > 0 && !expansion.places.has(name)) expansion.places.set(name, path);
    }
  }
}

function addInput(
  path: readonly string[],
  [type, options = {}]: InputSpec,
  required: boolean,
  expansion: Expansion,
): void {
  const name = path.join('.');
  const label = path.at(-1) ?? '';
  const add = () =>
    expansion[required ? 'required' : 'optional'].push({ name, label, required, type, options });
  switch (type) {
    case 'COMFY_DYNAMICCOMBO_V3':
      addCombo(path, options, add, expansion);
      return;
    case 'COMFY_DYNAMICSLOT_V3':
      if (!expansion.sent.has(name)) return;
      addInputs(options.inputs as Groups, path, expansion);
      expansion.places.set(name, [...path, path.at(-1) ?? '']);
      add();
      return;
    case 'COMFY_AUTOGROW_V3':
      addElements(path, options.template as AutogrowTemplate, expansion);
      return;
    case 'COMFY_DYNAMICGROUP_V3':
      addRows(path, options, expansion);
      return;
    default:
      add();
  }
}

/** The chosen option brings its inputs. Without a known option the combo itself is undeclared, too. */
function addCombo(
  path: readonly string[],
  options: Specs,
  add: () => void,
  expansion: Expansion,
): void {
  const name = path.join('.');
  const choices = options.options as readonly { readonly key: unknown; readonly inputs: Groups }[];
  const chosen = choices.find(({ key }) => key === expansion.sent.get(name));
  if (!chosen) return;
  addInputs(chosen.inputs, path, expansion);
  expansion.places.set(name, [...path, path.at(-1) ?? '']);
  add();
}

interface AutogrowTemplate {
  readonly input: Groups;
  readonly names?: readonly string[];
  readonly prefix?: string;
  readonly min?: number;
  readonly max?: number;
}

/** One input per name of the template. Those beyond the minimum are optional. */
function addElements(
  path: readonly string[],
  { input, prefix = '', min = 0, max = 0, ...template }: AutogrowTemplate,
  expansion: Expansion,
): void {
  const names = template.names ?? Array.from({ length: max }, (_, at) => `${prefix}${at}`);
  const [group = 'required', specs] =
    Object.entries(input).find(([, members]) => members && Object.keys(members).length > 0) ?? [];
  const spec = Object.values(specs ?? {})[0];
  const sent = names.filter((name) => expansion.sent.has([...path, name].join('.')));
  if (sent.length === 0) expansion.empty.add(path.join('.'));
  for (const [at, name] of names.entries()) {
    const place = at < min && group === 'required' ? 'required' : 'optional';
    addInputs({ [place]: { [name]: spec } }, path, expansion);
  }
}

/** Rows with the same inputs. Their number is not sent; a row exists when one of its inputs was sent. */
function addRows(
  path: readonly string[],
  { min = 0, template }: Specs,
  expansion: Expansion,
): void {
  const rowOf = (row: number) => [...path, String(row)];
  const isSent = (row: number) =>
    Object.values(template as Groups).some((specs) =>
      Object.keys(specs ?? {}).some((id) => expansion.sent.has([...rowOf(row), id].join('.'))),
    );
  let row = 0;
  for (; row < Number(min) || (row < MAX_ROWS && isSent(row)); row++) {
    addInputs(template as Groups, rowOf(row), expansion);
  }
  if (row === 0) expansion.empty.add(path.join('.'));
}

const MAX_ROWS = 100;
