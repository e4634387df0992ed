import { expect, test } from '@jest/globals';
import { toProblems } from './problems.js';

const IDS = new Set(['4', '10', 'five']);

test('every line of a rejection goes to its node, without repeating which one that is', () => {
  const rejection = [
    'Workflow validation failed:',
    '• Node 4 (CheckpointLoaderSimple "Load (it)"): ckpt_name "x" is not installed; available: a, b',
    '• Node 10 (KSampler): steps 0 is below the minimum 1',
    '',
    'Available checkpoint models: a, b',
  ].join('\n');
  expect(toProblems([rejection], IDS)).toEqual([
    { text: 'Workflow validation failed:' },
    { nodeId: '4', text: 'ckpt_name "x" is not installed; available: a, b' },
    { nodeId: '10', text: 'steps 0 is below the minimum 1' },
    { text: 'Available checkpoint models: a, b' },
  ]);
});

test('a node that failed while it ran is found by its id', () => {
  const failure =
    'Workflow execution error: Node Type: KSampler, Node ID: five, Message: out of memory\nTry less\n';
  expect(toProblems([failure], IDS)).toEqual([{ nodeId: 'five', text: 'out of memory\nTry less' }]);
});

test('a node inside an expanded one is shown at the one people know', () => {
  const failure = 'Workflow execution error: Node Type: X, Node ID: 4.0.0.1, Message: no';
  expect(toProblems([failure], IDS)).toEqual([{ nodeId: '4', text: 'no' }]);
});

test('an error about no node, or about one that is not in the workflow, is kept as it is', () => {
  const texts = ['ComfyUI did not answer', '• Node 99 (X): odd', 'Node 98 (X) did not run'];
  expect(toProblems(texts, IDS)).toEqual(texts.map((text) => ({ text })));
});
