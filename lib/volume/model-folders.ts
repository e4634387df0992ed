import { readdir, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Folders in `models` that ComfyUI 0.33 knows (its `folder_paths.py`), with the older names `clip`, `unet` and
 * `t2i_adapter`. The name of a folder is its key in `extra_model_paths.yaml`; ComfyUI translates `clip` and `unet`.
 */
export const MODEL_FOLDERS: readonly string[] = [
  'audio_encoders',
  'background_removal',
  'checkpoints',
  'classifiers',
  'clip',
  'clip_vision',
  'configs',
  'controlnet',
  'detection',
  'diffusers',
  'diffusion_models',
  'embeddings',
  'frame_interpolation',
  'geometry_estimation',
  'gligen',
  'hypernetworks',
  'latent_upscale_models',
  'loras',
  'model_patches',
  'optical_flow',
  'photomaker',
  'style_models',
  't2i_adapter',
  'text_encoders',
  'unet',
  'upscale_models',
  'vae',
  'vae_approx',
];

/** Keys that differ from the name of their folder. */
const KEYS: Readonly<Record<string, string>> = { t2i_adapter: 'controlnet' };

const FOLDER_NAME = /^[\w.-]{1,100}$/;

/**
 * Writes a file for ComfyUI's `--extra-model-paths-config` that names the model folders of a network volume and its node
 * packs (`custom_nodes`). A folder that only a node pack knows (`ipadapter`, `ultralytics`) is named if it exists.
 * @returns the path of the file, or undefined when there is no such volume.
 */
export async function writeModelPaths(volume: string): Promise<string | undefined> {
  const entries = await readdir(volume).catch(() => undefined);
  if (!entries) return undefined;
  const found = await readdir(join(volume, 'models'), { withFileTypes: true }).catch(() => []);
  const others = found
    .filter((entry) => !entry.isFile() && FOLDER_NAME.test(entry.name))
    .map(({ name }) => name);
  const path = join(tmpdir(), 'comfyui-worker-model-paths.yaml');
  const part = `${path}.${process.pid}.part`;
  await writeFile(part, modelPaths(volume, [...MODEL_FOLDERS, ...others]));
  await rename(part, path);
  return path;
}

/** The text of the file. JSON strings are YAML strings; ComfyUI takes several folders of a key from several lines. */
function modelPaths(volume: string, folders: readonly string[]): string {
  const byKey = Map.groupBy(new Set(folders), (folder) => KEYS[folder] ?? folder);
  const lines = [...byKey].map(([key, names]) => {
    const paths = names.map((name) => `models/${name}/`).join('\n');
    return `  ${JSON.stringify(key)}: ${JSON.stringify(paths)}`;
  });
  return [
    'network_volume:',
    `  base_path: ${JSON.stringify(volume)}`,
    ...lines,
    '  custom_nodes: custom_nodes/',
    '',
  ].join('\n');
}
