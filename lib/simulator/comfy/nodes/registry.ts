import type { NodeDefinition } from './node.ts';
import { AUDIO_NODES } from './media/audio.ts';
import { imageBlend } from './images/blending.ts';
import { COMPOSITING_NODES } from './images/compositing.ts';
import { CONDITIONING_NODES } from './models/conditioning.ts';
import { CUSTOM_SAMPLING_NODES, SAMPLING_NODES } from './models/sampling.ts';
import { FILTER_NODES } from './images/filters.ts';
import { IMAGE_NODES } from './images/images.ts';
import { LATENT_FILE_NODES } from './models/latent-files.ts';
import { LATENT_NODES } from './models/latents.ts';
import { LOAD_IMAGE_NODES } from './images/load-images.ts';
import { LOADER_NODES, MODEL_SAMPLING_NODES } from './models/loaders.ts';
import { MASK_NODES } from './images/masks.ts';
import { MESH_NODES } from './media/meshes.ts';
import { ANIMATION_NODES, SAVING_NODES } from './images/save-images.ts';
import { SCALING_NODES } from './images/scaling.ts';
import { VIDEO_HELPER_NODES } from './media/video-helper.ts';
import { VIDEO_NODES } from './media/videos.ts';
import { classNode } from './define-node.ts';
import { anything } from './inputs.ts';

const previewAny = classNode({
  name: 'PreviewAny',
  title: 'Preview as Text',
  module: 'comfy_extras.nodes_preview_any',
  category: 'utils',
  inputs: { source: anything({}) },
  shows: true,
  run: ({ source }) => ({ ui: { text: [describeValue(source)] } }),
});

/** Strings and numbers as they are; images and other bulk data only as their size. */
function describeValue(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  return JSON.stringify(
    value,
    (_, member: unknown) => {
      if (member instanceof Uint8Array) return `${member.length} bytes`;
      return typeof member === 'bigint' ? String(member) : member;
    },
    4,
  );
}

/** The built-in node classes by name, in the order of `/object_info`. */
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

/**
 * Names of model files the embedded ComfyUI lists: those of the official images and of the workflows in
 * `test_resources/workflows/`. The files do not exist.
 */
export const SIMULATED_MODELS: Readonly<Record<string, readonly string[]>> = {
  checkpoints: [
    'flux1-dev-fp8.safetensors',
    'sd3_medium_incl_clips_t5xxlfp8.safetensors',
    'sd_xl_base_1.0.safetensors',
  ],
  diffusion_models: [
    'flux1-dev.safetensors',
    'flux1-schnell.safetensors',
    'z_image_turbo_bf16.safetensors',
  ],
  text_encoders: ['clip_l.safetensors', 'qwen_3_4b.safetensors', 't5xxl_fp8_e4m3fn.safetensors'],
  vae: ['ae.safetensors', 'sdxl-vae-fp16-fix.safetensors', 'sdxl_vae.safetensors'],
  model_patches: ['Z-Image-Turbo-Fun-Controlnet-Union.safetensors'],
};
