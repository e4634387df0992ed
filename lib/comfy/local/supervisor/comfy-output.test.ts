import { expect, test } from '@jest/globals';
import { ComfyOutput, type OutputEvent } from './comfy-output.ts';

function readOutput(text: string) {
  const events: OutputEvent[] = [];
  let now = 0;
  const output = new ComfyOutput({
    startedAt: 0,
    now: () => (now += 1000),
    onLine: () => undefined,
    onEvent: (event) => events.push(event),
  });
  for (const line of text.split('\n')) output.add(line);
  return { output, events };
}

test('a node pack that failed to import is kept with its error and traceback', () => {
  const { output } = readOutput(
    `\x1b[33m[WARNING]\x1b[0m Traceback (most recent call last):
  File "/comfyui/nodes.py", line 2260, in load_custom_node
    module_spec.loader.exec_module(module)
ModuleNotFoundError: No module named 'insightface'

\x1b[33m[WARNING]\x1b[0m Cannot import /comfyui/custom_nodes/faces module for custom nodes: No module named 'insightface'
\x1b[32m[INFO]\x1b[0m
Import times for custom nodes:
\x1b[32m[INFO]\x1b[0m    0.1 seconds (IMPORT FAILED): /comfyui/custom_nodes/faces
\x1b[32m[INFO]\x1b[0m    0.1 seconds (IMPORT FAILED): /comfyui/custom_nodes/quiet.py
IMPORT FAILED: nodes_audio.py`,
  );
  expect(output.failedImports).toEqual([
    {
      name: 'faces',
      path: '/comfyui/custom_nodes/faces',
      error: "ModuleNotFoundError: No module named 'insightface'",
      traceback: [
        'Traceback (most recent call last):',
        '  File "/comfyui/nodes.py", line 2260, in load_custom_node',
        '    module_spec.loader.exec_module(module)',
        "ModuleNotFoundError: No module named 'insightface'",
      ],
    },
    { name: 'quiet.py', path: '/comfyui/custom_nodes/quiet.py', error: '', traceback: [] },
    { name: 'nodes_audio.py', path: undefined, error: '', traceback: [] },
  ]);
});

test('the phases of the start are timed by the lines that end them', () => {
  const { output } = readOutput(
    'Total VRAM 24105 MB\nPython version: 3.11\nx\nImport times for custom nodes:\nStarting server\nTo see the GUI go to: http://127.0.0.1:8188',
  );
  expect(output.bootPhases).toBe('python 2.0 s, nodes 2.0 s, server 1.0 s');
});

test('the death of the executor and the first prompt are events', () => {
  const { events } = readOutput(
    'Prompt executed in 12.30 seconds\nPrompt executed in 0.10 seconds\nException in thread Thread-1 (prompt_worker):',
  );
  expect(events).toEqual([
    { type: 'first prompt', seconds: '12.30' },
    { type: 'executor died', text: 'Exception in thread Thread-1 (prompt_worker):' },
  ]);
});

test('the output that is kept is bounded', () => {
  const { output } = readOutput(Array.from({ length: 2000 }, (_, n) => `line ${n}`).join('\n'));
  expect(output.lines).toHaveLength(500);
  expect(output.lines.at(-1)?.text).toBe('line 1999');
  const long = readOutput(Array.from({ length: 100 }, () => 'x'.repeat(100_000)).join('\n'));
  expect(long.output.lines.reduce((sum, { text }) => sum + text.length, 0)).toBeLessThan(100_001);
});
