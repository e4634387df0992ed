/** Nodes for meshes, splats and 3D files. */

import { randomUUID } from 'node:crypto';
import { writeFile, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { encodeGlb } from '../../encoders/glb.ts';
import { savePngs } from '../images/save-images.ts';
import { inputFile } from '../input-files.ts';
import { findOutputPlace } from '../output-files.ts';
import { cube } from '../media/meshes.ts';
import { imageOf, isMesh } from '../recorded/neutral.ts';
import type { NodeContext, NodeResult } from '../node.ts';
import type { File3d } from '../values.ts';
import type { Behaviours, Given } from './given.ts';

export const MODEL_3D_BEHAVIOURS: Behaviours = {
  SaveGLB: saveMesh,
  Save3DAdvanced: saveModel,
  SaveGaussianSplat: saveModel,
  SavePointCloud: saveModel,
  Preview3D: previewModel,
  Preview3DAdvanced: previewAdvanced,
  PreviewGaussianSplat: previewAdvanced,
  PreviewPointCloud: previewAdvanced,
  MeshToFile3D: (given) => [meshFile(given.value('mesh'))],
  SplatToFile3D: (given) => [{ ...emptyCloud(), format: given.text('format') }],
  GetMeshInfo: (given) => {
    const mesh = given.value('mesh');
    const { corners, triangles } = isMesh(mesh) ? mesh : cube(1);
    const info = [
      `Vertices:   ${(corners.length / 3).toLocaleString('en')}`,
      `Faces:      ${(triangles.length / 3).toLocaleString('en')}`,
      'Attributes: none',
    ].join('\n');
    return { outputs: [mesh, info], ui: { text: [info] } };
  },
  Load3D: loadModel,
  Load3DAdvanced: async (given, context) => {
    const state = given.group('viewport_state').values;
    const file = await maybeFile(given, context);
    return [
      file,
      state.model_3d_info ?? [],
      state.camera_info ?? {},
      given.number('width'),
      given.number('height'),
    ];
  },
};

const GENERATOR = 'comfyui-worker simulator: no model was run';

/** A mesh as a binary glTF file. Meshes that only models make are a cube here. */
function meshFile(mesh: unknown): File3d {
  if (isFile(mesh)) return mesh;
  return { format: 'glb', bytes: encodeGlb(isMesh(mesh) ? mesh : cube(1), GENERATOR) };
}

/** A PLY file with one point. */
function emptyCloud(): File3d {
  const axes = ['x', 'y', 'z'].map((axis) => `property float ${axis}`);
  const header = [
    'ply',
    'format ascii 1.0',
    `comment ${GENERATOR}`,
    'element vertex 1',
    ...axes,
    'end_header',
  ];
  return { format: 'ply', bytes: Buffer.from(`${header.join('\n')}\n0 0 0\n`) };
}

function isFile(value: unknown): value is File3d {
  return typeof value === 'object' && value !== null && 'format' in value && 'bytes' in value;
}

async function saveMesh(given: Given, { folders }: NodeContext): Promise<NodeResult> {
  const { format, bytes } = meshFile(given.value('mesh'));
  const place = await findOutputPlace(folders.output, {
    width: 0,
    height: 0,
    prefix: given.text('filename_prefix'),
  });
  const filename = `${place.nextName(0)}.${format}`;
  await writeFile(join(place.folder, filename), bytes);
  return { ui: { '3d': [{ filename, subfolder: place.subfolder, type: 'output' }] } };
}

/** The `ui` output names the file as `subfolder/name`, without saying its folder. */
async function saveModel(given: Given, { folders }: NodeContext): Promise<NodeResult> {
  const { format, bytes } = meshFile(given.value('model_3d'));
  const place = await findOutputPlace(folders.output, {
    width: 0,
    height: 0,
    prefix: given.text('filename_prefix'),
  });
  const filename = `${place.nextName(0).replace(/_$/, '')}.${format}`;
  await writeFile(join(place.folder, filename), bytes);
  return showViewport(given, place.subfolder ? `${place.subfolder}/${filename}` : filename);
}

async function previewAdvanced(given: Given, { folders }: NodeContext): Promise<NodeResult> {
  const { format, bytes } = meshFile(given.value('model_3d'));
  const filename = `preview3d_advanced_${randomUUID().replaceAll('-', '')}.${format}`;
  await writeFile(join(folders.temp, filename), bytes);
  return showViewport(given, `temp/${filename}`);
}

/** What is linked wins over what the viewer has stored. */
function showViewport(given: Given, modelFile: string): NodeResult {
  const state = given.group('viewport_state').values;
  const camera = given.values.camera_info ?? state.camera_info ?? null;
  const info = given.values.model_3d_info ?? state.model_3d_info ?? [];
  const size = [given.number('width'), given.number('height')];
  return {
    ui: { result: [modelFile, camera, info] },
    outputs: [given.value('model_3d'), info, camera, ...size],
  };
}

async function previewModel(given: Given, context: NodeContext): Promise<NodeResult> {
  const model = given.value('model_file');
  const camera = given.values.camera_info ?? null;
  const background = given.has('bg_image')
    ? await savePngs(given.image('bg_image'), context, {
        type: 'temp',
        prefix: 'bg',
        compressionLevel: 1,
      })
    : undefined;
  const [first] = (background?.ui?.images ?? []) as readonly { readonly filename: string }[];
  const backgroundFile = first ? `temp/${first.filename}` : null;
  if (typeof model === 'string') return { ui: { result: [model, camera, backgroundFile] } };
  const { format, bytes } = meshFile(model);
  const filename = `preview3d_${randomUUID().replaceAll('-', '')}.${format}`;
  await writeFile(join(context.folders.output, filename), bytes);
  return { ui: { result: [filename, camera, backgroundFile] } };
}

async function maybeFile(given: Given, { folders }: NodeContext): Promise<File3d | null> {
  const name = given.text('model_file');
  if (name === '' || name === 'none') return null;
  return {
    format: extname(name).slice(1) || 'glb',
    bytes: await readFile(inputFile(name, folders)),
  };
}

/** The pictures that the editor's viewer makes are plain grey here. */
async function loadModel(given: Given, context: NodeContext): Promise<readonly unknown[]> {
  const size = { width: given.number('width'), height: given.number('height') };
  const picture = imageOf('SIMULATED', size, 1);
  const mask = { ...size, frames: [new Uint8Array(size.width * size.height)] };
  const state = given.group('image').values;
  const file = await maybeFile(given, context);
  const name = given.text('model_file');
  const outputs = [picture, mask, name === 'none' ? '' : name, picture];
  return [...outputs, state.camera_info ?? {}, null, file, state.model_3d_info ?? []];
}
