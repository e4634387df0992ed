import { mkdtemp, rm } from 'node:fs/promises';
import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { LeftOutPacks, packInTraceback } from './left-out-packs.ts';

const TRACEBACK = `Traceback (most recent call last):
  File "/comfyui/main.py", line 180, in <module>
    execute_prestartup_script()
  File "/comfyui/custom_nodes/faces/__init__.py", line 3, in <module>
    import onnx
  File "/opt/venv/lib/python3.12/site-packages/onnx/__init__.py", line 77, in <module>
SystemError: initialization of onnx_cpp2py_export failed`.split('\n');

const FAULT = `Fatal Python error: Segmentation fault

Current thread 0x00007f9c (most recent call first):
  File "/opt/venv/lib/python3.12/site-packages/onnx/__init__.py", line 77 in <module>
  File "/comfyui/custom_nodes/faces/__init__.py", line 3 in <module>
  File "/comfyui/custom_nodes/loader.py", line 9 in load
  File "/comfyui/nodes.py", line 2124 in load_custom_node`.split('\n');

test('a traceback names the pack whose code ran last, and its last line', () => {
  expect(packInTraceback(TRACEBACK)).toMatchObject({
    name: 'faces',
    path: '/comfyui/custom_nodes/faces',
    error: 'SystemError: initialization of onnx_cpp2py_export failed',
  });
  expect(packInTraceback(FAULT)).toMatchObject({ name: 'faces' });
  expect(packInTraceback(['Traceback (most recent call last):', 'KeyError: 1'])).toBeUndefined();
});

test('a pack is left out after it ended ComfyUI twice in a row, and all others are listed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'packs-'));
  for (const name of ['faces', 'other', '__pycache__'])
    mkdirSync(join(folder, 'custom_nodes', name), { recursive: true });
  const lines = TRACEBACK.map((line) => line.replace('/comfyui/custom', `${folder}/custom`));
  const packs = new LeftOutPacks();
  expect(packs.onCrash(lines)).toBeUndefined();
  expect(packs.onCrash([])).toBeUndefined();
  expect(packs.onCrash(lines)).toBeUndefined();
  expect(await packs.argumentsFor([])).toEqual([]);
  expect(packs.onCrash(lines)?.name).toBe('faces');
  expect(await packs.argumentsFor(['python', 'main.py'])).toEqual([
    ...['--disable-all-custom-nodes', '--whitelist-custom-nodes', 'other'],
  ]);
  const own = ['main.py', '--whitelist-custom-nodes', 'faces', 'mine', '--cpu'];
  expect((await packs.argumentsFor(own)).slice(1)).toEqual(['--whitelist-custom-nodes', 'mine']);
  packs.onOutput(['main.py: error: unrecognized arguments: --whitelist-custom-nodes other']);
  expect(await packs.argumentsFor(['python', 'main.py'])).toEqual([]);
  await rm(folder, { recursive: true });
});
