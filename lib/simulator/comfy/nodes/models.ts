/**
 * The model files the embedded ComfyUI claims to have: those of the official images and of the workflows in
 * `test_resources/workflows/`. No such file exists or is read.
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
