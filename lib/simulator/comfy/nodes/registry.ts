import type { NodeDefinition } from '../node.ts';
import { AUDIO_NODES } from './audio.ts';
import { imageBlend } from './blending.ts';
import { COMPOSITING_NODES } from './compositing.ts';
import { CONDITIONING_NODES } from './conditioning.ts';
import { CUSTOM_SAMPLING_NODES } from './custom-sampling.ts';
import { FILTER_NODES } from './filters.ts';
import { IMAGE_NODES } from './images.ts';
import { LATENT_FILE_NODES } from './latent-files.ts';
import { LATENT_NODES } from './latents.ts';
import { LOAD_IMAGE_NODES } from './load-images.ts';
import { LOADER_NODES } from './loaders.ts';
import { MASK_NODES } from './masks.ts';
import { MESH_NODES } from './meshes.ts';
import { MODEL_SAMPLING_NODES } from './model-sampling.ts';
import { previewAny } from './preview-any.ts';
import { SAMPLING_NODES } from './sampling.ts';
import { ANIMATION_NODES } from './save-animation.ts';
import { SAVING_NODES } from './saving.ts';
import { SCALING_NODES } from './scaling.ts';
import { VIDEO_HELPER_NODES } from './video-helper.ts';
import { VIDEO_NODES } from './videos.ts';

/** The nodes the embedded ComfyUI has, by class name, in the order `/object_info` lists them. */
export const NODES: ReadonlyMap<string, NodeDefinition> = new Map([
  ...SAMPLING_NODES,
  ...LOADER_NODES,
  ...CONDITIONING_NODES,
  ...LATENT_NODES,
  ...LOAD_IMAGE_NODES,
  ...SAVING_NODES,
  ...ANIMATION_NODES,
  ...IMAGE_NODES,
  ...SCALING_NODES,
  imageBlend,
  ...COMPOSITING_NODES,
  ...FILTER_NODES,
  ...MASK_NODES,
  ...CUSTOM_SAMPLING_NODES,
  ...MODEL_SAMPLING_NODES,
  previewAny,
  ...LATENT_FILE_NODES,
  ...VIDEO_NODES,
  ...AUDIO_NODES,
  ...MESH_NODES,
  ...VIDEO_HELPER_NODES,
]);
