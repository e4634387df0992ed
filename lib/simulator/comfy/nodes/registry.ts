import type { NodeDefinition } from '../node.ts';
import { FILTER_NODES } from './filters.ts';
import { IMAGE_NODES } from './images.ts';
import { LOAD_IMAGE_NODES } from './load-images.ts';
import { MASK_NODES } from './masks.ts';
import { previewAny } from './preview-any.ts';
import { SAVING_NODES } from './saving.ts';
import { SCALING_NODES } from './scaling.ts';

/** The nodes the embedded ComfyUI has, by class name, in the order `/object_info` lists them. */
export const NODES: ReadonlyMap<string, NodeDefinition> = new Map([
  ...LOAD_IMAGE_NODES,
  ...SAVING_NODES,
  ...IMAGE_NODES,
  ...SCALING_NODES,
  ...FILTER_NODES,
  ...MASK_NODES,
  previewAny,
]);
