import type { Catalogue } from '../nodes/node.ts';
import type { PyDict, PyValue } from '../python/python-json.ts';
import { fromPlain, pyRepr, PythonError } from '../python/python-text.ts';
import { maybeLink } from './graph.ts';

/** An entry of `/node_replacements`, with ComfyUI's own key names. */
interface Replacement {
  readonly new_node_id: string;
  readonly old_node_id: string;
  readonly old_widget_ids: readonly string[] | null;
  readonly input_mapping: readonly InputMapping[] | null;
  readonly output_mapping: readonly { readonly new_idx: number; readonly old_idx: number }[] | null;
}

type InputMapping =
  | { readonly new_id: string; readonly old_id: string }
  | { readonly new_id: string; readonly set_value: string };

/** The answer of `/node_replacements`: those that ComfyUI 0.33.0 registers. */
export const NODE_REPLACEMENTS: Readonly<Record<string, readonly [Replacement]>> = {
  ...replacement('ResizeImagesByLongerEdge', 'ImageScaleToMaxDimension', {
    widgets: ['longer_edge'],
    inputs: [
      { new_id: 'image', old_id: 'images' },
      { new_id: 'largest_size', old_id: 'longer_edge' },
      { new_id: 'upscale_method', set_value: 'lanczos' },
    ],
    outputs: [{ new_idx: 0, old_idx: 0 }],
  }),
  ...replacement('ImageBatch', 'BatchImagesNode', {
    inputs: [
      { new_id: 'images.image0', old_id: 'image1' },
      { new_id: 'images.image1', old_id: 'image2' },
    ],
  }),
  ...replacement('ImageScaleBy', 'ResizeImageMaskNode', {
    widgets: ['upscale_method', 'scale_by'],
    inputs: [
      { new_id: 'input', old_id: 'image' },
      { new_id: 'resize_type', set_value: 'scale by multiplier' },
      { new_id: 'resize_type.multiplier', old_id: 'scale_by' },
      { new_id: 'scale_method', old_id: 'upscale_method' },
    ],
  }),
  ...replacement('T2IAdapterLoader', 'ControlNetLoader', {
    inputs: [{ new_id: 'control_net_name', old_id: 't2i_adapter_name' }],
  }),
  ...replacement('Load3DAnimation', 'Load3D'),
  ...replacement('Preview3DAnimation', 'Preview3D'),
  ...replacement('SDV_img2vid_Conditioning', 'SVD_img2vid_Conditioning'),
  ...replacement('ConditioningAverage ', 'ConditioningAverage'),
};

function replacement(
  old: string,
  replacing: string,
  mapping: {
    readonly widgets?: readonly string[];
    readonly inputs?: readonly InputMapping[];
    readonly outputs?: Replacement['output_mapping'];
  } = {},
): Record<string, readonly [Replacement]> {
  const { widgets = null, inputs = null, outputs = null } = mapping;
  return {
    [old]: [
      {
        new_node_id: replacing,
        old_node_id: old,
        old_widget_ids: widgets,
        input_mapping: inputs,
        output_mapping: outputs,
      },
    ],
  };
}

/**
 * Replaces nodes of classes that do not exist, in place, before validation (`apply_replacements` in ComfyUI's
 * `node_replace_manager.py`).
 * @throws PythonError where ComfyUI answers 500: the graph is no dict, or a node to be replaced lacks `_meta` or an input.
 */
export function replaceNodes(prompt: PyValue, { nodes }: Catalogue): void {
  if (!(prompt instanceof Map)) throw new PythonError('AttributeError', 'The prompt is no dict');
  const links = [...prompt].flatMap(([id, node]) => linksInto(id, node));
  for (const [id, node] of prompt) {
    if (!(node instanceof Map) || !(node.get('inputs') instanceof Map)) continue;
    const name = node.get('class_type');
    const [found] = (typeof name === 'string' ? NODE_REPLACEMENTS[name] : undefined) ?? [];
    if (!found || nodes.has(found.old_node_id) || !nodes.has(found.new_node_id)) continue;
    prompt.set(id, replaced(node, found));
    for (const { into, input, from, slot } of links) {
      const mapped = found.output_mapping?.find(({ old_idx }) => from === id && old_idx === slot);
      if (!mapped) continue;
      const value = ((prompt.get(into) as PyDict).get('inputs') as PyDict).get(input);
      if (Array.isArray(value)) value[1] = mapped.new_idx;
    }
  }
}

function linksInto(into: string, node: PyValue) {
  if (typeof node === 'string' || Array.isArray(node)) return [];
  if (!(node instanceof Map)) throw new PythonError('TypeError', 'A node is no dict');
  const inputs = node.get('inputs');
  if (!node.has('class_type') || inputs === undefined) return [];
  if (!(inputs instanceof Map)) throw new PythonError('AttributeError', 'The inputs are no dict');
  return [...inputs].flatMap(([input, value]) => {
    const link = maybeLink(value);
    return link ? [{ into, input, ...link }] : [];
  });
}

function replaced(node: PyDict, { new_node_id, input_mapping }: Replacement): PyDict {
  if (!(node.get('_meta') instanceof Map)) throw new PythonError('KeyError', "'_meta'");
  const old = node.get('inputs') as PyDict;
  const inputs: PyDict = new Map();
  for (const mapping of input_mapping ?? []) {
    if ('set_value' in mapping) inputs.set(mapping.new_id, fromPlain(mapping.set_value));
    else if (old.has(mapping.old_id)) inputs.set(mapping.new_id, old.get(mapping.old_id) ?? null);
    else throw new PythonError('KeyError', pyRepr(mapping.old_id));
  }
  return new Map([...node, ['inputs', inputs], ['class_type', new_node_id]]);
}
