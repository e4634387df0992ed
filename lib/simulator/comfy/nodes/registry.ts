import { readFile } from 'node:fs/promises';
import type { ComfyVersion } from '../profile.ts';
import type { NodeClasses, NodeDefinition } from './node.ts';
import { PyFloat } from '../python/python-json.ts';
import { textOf } from './behaviours/given.ts';
import { isRecorded, recordedNames } from './recorded/descriptions.ts';
import { recordedNode } from './recorded/recorded-node.ts';
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

/** Scalars as Python prints them, objects as its JSON; images and other bulk data only as their size. */
function describeValue(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null || value instanceof PyFloat) return textOf(value);
  const text = JSON.stringify(withoutBulk(value), null, 4);
  return text.replaceAll(new RegExp(`"${UNQUOTED}|${UNQUOTED}"`, 'g'), '');
}

/** Done before JSON is written, because a Buffer would write itself as a list of numbers. */
function withoutBulk(value: unknown): unknown {
  if (typeof value === 'bigint') return `${UNQUOTED}${value}${UNQUOTED}`;
  if (typeof value !== 'object' || value === null) return value;
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  if (Array.isArray(value)) return value.map(withoutBulk);
  if (value instanceof PyFloat) return `${UNQUOTED}${textOf(value)}${UNQUOTED}`;
  const members = Object.entries(value).map(([name, member]) => [name, withoutBulk(member)]);
  return Object.fromEntries(members) as unknown;
}

/** Marks a text that is a number in the JSON: Python writes floats and large integers unlike JavaScript. */
const UNQUOTED = '\uE000';

/** Classes declared by hand, described as ComfyUI 0.8.0 does, in the order of `/object_info`. */
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

/** Recorded classes that do what another class does. */
const SAME: Readonly<Record<string, string>> = { LoadImageOutput: 'LoadImage' };

/**
 * The node classes of a ComfyUI version: the recorded ones, and those declared by hand. 0.8.0 describes the latter in its own
 * way. Recorded classes are read when the first of them is asked for.
 * @param more further classes; they replace others of the same name.
 */
export function nodeClasses(
  version: ComfyVersion,
  more: ReadonlyMap<string, NodeDefinition> = new Map(),
): NodeClasses {
  const definitions = new Map<string, NodeDefinition>();
  const find = (name: string): NodeDefinition | undefined => {
    const byHand = NODES.get(SAME[name] ?? name);
    if (byHand && version === '0.8.0' && NODES.has(name)) return byHand;
    return isRecorded(name) ? recordedNode(name, byHand) : byHand;
  };
  return {
    has: (name) => more.has(name) || NODES.has(name) || isRecorded(name),
    get(name) {
      const known = more.get(name) ?? definitions.get(name) ?? find(name);
      if (known) definitions.set(name, known);
      return known;
    },
    keys: () => new Set([...recordedNames(), ...NODES.keys(), ...more.keys()]).keys(),
  };
}

/** Names of model files: those of the official images and of the workflows in `test_resources/workflows/`. */
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

/**
 * All names of model files that the embedded ComfyUI lists when a person starts it: also those that ComfyUI's own blueprints
 * and templates name, so that they run unchanged. The files do not exist.
 */
export async function simulatedModels(): Promise<Readonly<Record<string, readonly string[]>>> {
  const file = await readFile(new URL('recorded/models.json', import.meta.url), 'utf8');
  const more = JSON.parse(file) as Record<string, readonly string[]>;
  const folders = new Set([...Object.keys(SIMULATED_MODELS), ...Object.keys(more)]);
  const lists = [...folders].map((folder) => {
    const names = new Set([...(SIMULATED_MODELS[folder] ?? []), ...(more[folder] ?? [])]);
    return [folder, [...names].sort()] as const;
  });
  return Object.fromEntries(lists);
}
