import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { startNodeBench } from '../../testing/node-bench.ts';

test('SaveGLB writes a mesh under 3d: twelve triangles around eight corners', async () => {
  await using bench = await startNodeBench();
  const [mesh] = await bench.outputs('SimulatedMesh', { size: 2 });
  expect(await bench.show('SaveGLB', { mesh, filename_prefix: 'mesh/ComfyUI' })).toEqual({
    '3d': [{ filename: 'ComfyUI_00001_.glb', subfolder: 'mesh', type: 'output' }],
  });
  const file = await readFile(join(bench.folders.output, 'mesh/ComfyUI_00001_.glb'));
  expect([file.toString('latin1', 0, 4), file.readUInt32LE(8)]).toEqual(['glTF', file.length]);
  const description = JSON.parse(file.toString('utf8', 20, 20 + file.readUInt32LE(12))) as object;
  expect(description).toMatchObject({
    accessors: [{ count: 8, min: [-1, -1, -1], max: [1, 1, 1] }, { count: 36 }],
  });
});
