/** Model loaders. Nothing is loaded; only the file name is passed on. */

import { classNode, schemaNode } from '../define-node.ts';
import { choice, clip, float, modelFile, model, int } from '../inputs.ts';

const checkpointLoader = classNode({
  name: 'CheckpointLoaderSimple',
  title: 'Load Checkpoint',
  module: 'nodes',
  category: 'loaders',
  inputs: { ckpt_name: modelFile('checkpoints', { options: {} }) },
  outputs: ['MODEL', 'CLIP', 'VAE'],
  run: ({ ckpt_name: name }) => ({ outputs: [{ name }, { name }, { name }] }),
});

const unetLoader = classNode({
  name: 'UNETLoader',
  title: 'Load Diffusion Model',
  module: 'nodes',
  category: 'advanced/loaders',
  inputs: {
    unet_name: modelFile('diffusion_models'),
    weight_dtype: choice(['default', 'fp8_e4m3fn', 'fp8_e4m3fn_fast', 'fp8_e5m2']),
  },
  outputs: ['MODEL'],
  run: ({ unet_name: name }) => ({ outputs: [{ name }] }),
});

const vaeLoader = classNode({
  name: 'VAELoader',
  title: 'Load VAE',
  module: 'nodes',
  category: 'loaders',
  inputs: { vae_name: modelFile('vae', { more: ['pixel_space'] }) },
  outputs: ['VAE'],
  run: ({ vae_name: name }) => ({ outputs: [{ name }] }),
});

const device = choice(['default', 'cpu'], { advanced: true });

const clipLoader = classNode({
  name: 'CLIPLoader',
  title: 'Load CLIP',
  module: 'nodes',
  category: 'advanced/loaders',
  inputs: {
    clip_name: modelFile('text_encoders'),
    type: choice([
      'stable_diffusion',
      'stable_cascade',
      'sd3',
      'stable_audio',
      'mochi',
      'ltxv',
      'pixart',
      'cosmos',
      'lumina2',
      'wan',
      'hidream',
      'chroma',
      'ace',
      'omnigen2',
      'qwen_image',
      'hunyuan_image',
      'flux2',
      'ovis',
    ]),
  },
  optional: { device },
  outputs: ['CLIP'],
  run: ({ clip_name: name }) => ({ outputs: [{ name }] }),
});

const dualClipLoader = classNode({
  name: 'DualCLIPLoader',
  module: 'nodes',
  category: 'advanced/loaders',
  inputs: {
    clip_name1: modelFile('text_encoders'),
    clip_name2: modelFile('text_encoders'),
    type: choice([
      'sdxl',
      'sd3',
      'flux',
      'hunyuan_video',
      'hidream',
      'hunyuan_image',
      'hunyuan_video_15',
      'kandinsky5',
      'kandinsky5_image',
      'ltxv',
      'newbie',
    ]),
  },
  optional: { device },
  outputs: ['CLIP'],
  run: ({ clip_name1, clip_name2 }) => ({ outputs: [{ name: `${clip_name1}+${clip_name2}` }] }),
});

const strength = () => float({ default: 1, min: -100, max: 100, step: 0.01 });

const loraLoader = classNode({
  name: 'LoraLoader',
  title: 'Load LoRA',
  module: 'nodes',
  category: 'loaders',
  inputs: {
    model: model({}),
    clip: clip({}),
    lora_name: modelFile('loras', { options: {} }),
    strength_model: strength(),
    strength_clip: strength(),
  },
  outputs: ['MODEL', 'CLIP'],
  run: ({ model, clip, lora_name: lora }) => ({
    outputs: [{ ...model, loras: [...(model.loras ?? []), lora] }, clip],
  }),
});

const loraLoaderModelOnly = classNode({
  name: 'LoraLoaderModelOnly',
  module: 'nodes',
  category: 'loaders',
  inputs: { model: model(), lora_name: modelFile('loras'), strength_model: strength() },
  outputs: ['MODEL'],
  run: ({ model, lora_name: lora }) => ({
    outputs: [{ ...model, loras: [...(model.loras ?? []), lora] }],
  }),
});

const controlNetLoader = classNode({
  name: 'ControlNetLoader',
  title: 'Load ControlNet Model',
  module: 'nodes',
  category: 'loaders',
  inputs: { control_net_name: modelFile('controlnet') },
  outputs: ['CONTROL_NET'],
  run: ({ control_net_name: name }) => ({ outputs: [{ name }] }),
});

const upscaleModelLoader = schemaNode({
  name: 'UpscaleModelLoader',
  title: 'Load Upscale Model',
  module: 'comfy_extras.nodes_upscale_model',
  category: 'loaders',
  inputs: { model_name: modelFile('upscale_models') },
  outputs: ['UPSCALE_MODEL'],
  run: ({ model_name: name }) => ({ outputs: [{ name }] }),
});

export const LOADER_NODES = [
  checkpointLoader,
  unetLoader,
  vaeLoader,
  clipLoader,
  dualClipLoader,
  loraLoader,
  loraLoaderModelOnly,
  controlNetLoader,
  upscaleModelLoader,
];

const MODEL_ADVANCED = 'comfy_extras.nodes_model_advanced';

/** The shift of the noise schedule has no effect in the simulation. */
const shift = (standard: number) => float({ default: standard, min: 0, max: 100, step: 0.01 });

const side = () => int({ default: 1024, min: 16, max: 16384, step: 8 });

const modelSamplingSd3 = classNode({
  name: 'ModelSamplingSD3',
  module: MODEL_ADVANCED,
  category: 'advanced/model',
  inputs: { model: model(), shift: shift(3) },
  outputs: ['MODEL'],
  run: ({ model }) => ({ outputs: [model] }),
});

const modelSamplingAuraFlow = classNode({
  name: 'ModelSamplingAuraFlow',
  module: MODEL_ADVANCED,
  category: 'advanced/model',
  inputs: { model: model(), shift: shift(1.73) },
  outputs: ['MODEL'],
  run: ({ model }) => ({ outputs: [model] }),
});

const modelSamplingFlux = classNode({
  name: 'ModelSamplingFlux',
  module: MODEL_ADVANCED,
  category: 'advanced/model',
  inputs: {
    model: model(),
    max_shift: shift(1.15),
    base_shift: shift(0.5),
    width: side(),
    height: side(),
  },
  outputs: ['MODEL'],
  run: ({ model }) => ({ outputs: [model] }),
});

export const MODEL_SAMPLING_NODES = [modelSamplingSd3, modelSamplingAuraFlow, modelSamplingFlux];
