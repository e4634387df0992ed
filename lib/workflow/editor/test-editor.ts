import { JsonText } from '../../json.ts';
import { fromEditor } from './from-editor.ts';
import { recordedInfos } from '../test-infos.ts';

/** For tests: builds files as the editor saves them, and converts them. */

export type Fields = Readonly<Record<string, unknown>>;
export type Node = Fields & { readonly id: number | string; readonly type: string };
type Links = readonly (readonly unknown[] | Fields)[];

export const file = (nodes: readonly Node[], links: Links = [], more: Fields = {}) =>
  JsonText.of({ last_node_id: 9, nodes, links, version: 0.4, ...more });

export const convert = (
  nodes: readonly Node[],
  links: Links = [],
  more: Fields = {},
  infos = recordedInfos,
) => fromEditor(file(nodes, links, more), infos).value() as Record<string, { inputs: Fields }>;

export const slot = (name: string, type: string, link: number | null = null) => ({
  name,
  type,
  link,
});
export const widgetSlot = (name: string, type: string, link: number | null = null) => ({
  ...slot(name, type, link),
  widget: { name },
});
export const image = (id: number, more: Fields = {}): Node => ({
  id,
  type: 'EmptyImage',
  mode: 0,
  inputs: [],
  outputs: [{ name: 'IMAGE', type: 'IMAGE' }],
  widgets_values: [64, 32, 1, 255],
  ...more,
});
export const invert = (id: number, link: number | null, more: Fields = {}): Node => ({
  id,
  type: 'ImageInvert',
  mode: 0,
  inputs: [slot('image', 'IMAGE', link)],
  outputs: [{ name: 'IMAGE', type: 'IMAGE' }],
  ...more,
});
export const save = (id: number, link: number | null, more: Fields = {}): Node => ({
  id,
  type: 'SaveImage',
  mode: 0,
  inputs: [slot('images', 'IMAGE', link)],
  outputs: [],
  widgets_values: ['x'],
  ...more,
});
