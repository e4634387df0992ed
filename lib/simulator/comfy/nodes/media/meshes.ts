import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeGlb, type Mesh } from '../../encoders/glb.ts';
import { schemaNode } from '../define-node.ts';
import { float, mesh, text } from '../inputs.ts';
import { findOutputPlace } from '../output-files.ts';

/** Not in ComfyUI, where only models produce meshes. */
const simulatedMesh = schemaNode({
  name: 'SimulatedMesh',
  title: 'Simulated Mesh (a cube)',
  module: 'simulator',
  category: '3d',
  inputs: { size: float({ default: 1, min: 0.01, max: 1000, step: 0.01 }) },
  outputs: ['MESH'],
  run: ({ size }) => ({ outputs: [cube(size)] }),
});

const saveGlb = schemaNode({
  name: 'SaveGLB',
  module: 'comfy_extras.nodes_hunyuan3d',
  category: '3d',
  inputs: { mesh: mesh(), filename_prefix: text({ default: 'mesh/ComfyUI', multiline: false }) },
  hidden: ['prompt', 'extra_pnginfo'],
  shows: true,
  run: async ({ mesh, filename_prefix: prefix }, { folders }) => {
    const place = await findOutputPlace(folders.output, { prefix, width: 0, height: 0 });
    const filename = `${place.nextName(0)}.glb`;
    const glb = encodeGlb(mesh, 'comfyui-worker simulator: no model was run');
    await writeFile(join(place.folder, filename), glb);
    return { ui: { '3d': [{ filename, subfolder: place.subfolder, type: 'output' }] } };
  },
});

/** The bits of a corner's number are its coordinates. Each side is given by four corners and consists of two triangles. */
export function cube(size: number): Mesh {
  const corners = Array.from({ length: 8 }, (_, n) => [n & 1, (n >> 1) & 1, (n >> 2) & 1]);
  const sides = [
    [0, 2, 1, 3],
    [4, 6, 5, 7],
    [0, 1, 4, 5],
    [2, 3, 6, 7],
    [0, 4, 2, 6],
    [1, 5, 3, 7],
  ];
  const triangles = sides.flatMap(([a = 0, b = 0, c = 0, d = 0]) => [a, b, c, c, b, d]);
  return {
    corners: Float32Array.from(corners.flat(), (bit) => (bit - 0.5) * size),
    triangles: Uint16Array.from(triangles),
  };
}

export const MESH_NODES = [simulatedMesh, saveGlb];
