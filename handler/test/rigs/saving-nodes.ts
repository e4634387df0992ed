import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeDefinition } from '../../../lib/simulator/comfy/nodes/node.ts';
import type { InputSpec } from '../../../lib/simulator/comfy/nodes/node-info.ts';
import { findOutputPlace } from '../../../lib/simulator/comfy/nodes/output-files.ts';

/**
 * Nodes of ComfyUI that save files into its output folder, with the inputs they have in ComfyUI 0.33.0. What they write is
 * not real. `SaveText` shows its file, and `CheckpointSave` and `SaveImageDataSetToFolder` show nothing.
 */
export const SAVING_NODES: ReadonlyMap<string, NodeDefinition> = new Map([
  saving('SaveText', { text: ['STRING', { forceInput: true }] }, 'txt'),
  saving('CheckpointSave', { model: ['MODEL'], clip: ['CLIP'], vae: ['VAE'] }, 'safetensors'),
  saving(
    'SaveImageDataSetToFolder',
    { images: ['IMAGE'], folder_name: ['STRING', { default: 'dataset' }] },
    'png',
  ),
]);

function saving(
  name: string,
  inputs: Readonly<Record<string, InputSpec>>,
  extension: string,
): [string, NodeDefinition] {
  const required = { ...inputs, filename_prefix: ['STRING', { default: 'ComfyUI' }] } as const;
  const info = {
    input: { required },
    input_order: { required: Object.keys(required) },
    output: [],
    output_is_list: [],
    output_name: [],
    name,
    display_name: name,
    python_module: 'nodes',
    category: 'saving',
    output_node: true,
  };
  const execute: NodeDefinition['execute'] = async (values, { folders }) => {
    const { filename_prefix: filename, folder_name: folder, text } = values as Texts;
    const prefix = [folder, filename].filter((part) => part !== undefined).join('/');
    const place = await findOutputPlace(folders.output, { prefix, width: 1, height: 1 });
    const saved = `${place.nextName(0)}.${extension}`;
    await writeFile(join(place.folder, saved), text ?? name);
    if (name !== 'SaveText') return {};
    const item = { filename: saved, subfolder: place.subfolder, type: 'output' };
    return { ui: { text: [text], files: [item] } };
  };
  return [name, { info: () => info, execute }];
}

type Texts = Readonly<Record<string, string | undefined>>;
