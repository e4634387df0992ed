import { expect, test } from '@jest/globals';
import { JsonText } from '../lib/json.ts';
import { collectOutputs } from './collect-outputs.ts';

const collect = (outputs: string | undefined, ending: 'succeeded' | 'failed' = 'succeeded') =>
  collectOutputs({
    promptId: 'p1',
    ending,
    problems: [],
    timings: { queuedMs: 0, startedMs: 0, endedMs: 0, readMs: 0, executionMs: undefined },
    outputs: outputs === undefined ? undefined : JsonText.parse(outputs),
  });

test('images come in the order ComfyUI ran the nodes, not in the order of their numbers', () => {
  const { records, problems } = collect(
    `{"10":{"images":[{"filename":"b.png","subfolder":"x","type":"output"},{"filename":"c.mp4","subfolder":"","type":"input"}]},
      "9":{"images":[{"filename":"a.png","subfolder":"","type":"output"}],"animated":[true]}}`,
  );
  expect(records).toEqual([
    { nodeId: '10', filename: 'b.png', subfolder: 'x', type: 'output' },
    { nodeId: '10', filename: 'c.mp4', subfolder: '', type: 'input' },
    { nodeId: '9', filename: 'a.png', subfolder: '', type: 'output' },
  ]);
  expect(problems).toEqual([]);
});

test('previews are skipped in silence, even without a filename', () => {
  expect(collect('{"1":{"images":[{"type":"temp"},{"filename":"t.png","type":"temp"}]}}')).toEqual({
    records: [],
    problems: [],
  });
});

test('outputs that hold nothing to return are no problem', () => {
  for (const outputs of [
    '{"1":{"images":[]}}',
    '{"1":{"text":["a"]}}',
    '{"1":{"gifs":[{"filename":"a.mp4"}]}}',
    '{"1":null}',
  ]) {
    expect(collect(outputs)).toEqual({ records: [], problems: [] });
  }
});

test('one malformed entry costs only itself', () => {
  const { records, problems } = collect(
    '{"7":{"images":[{"filename":"a.png"},{"subfolder":"s","type":"output"},null,"x",{"filename":""},{"filename":5},{"filename":"b.png","subfolder":null}]}}',
  );
  expect(records.map(({ filename, subfolder, type }) => [filename, subfolder, type])).toEqual([
    ['a.png', '', 'output'],
    ['b.png', '', 'output'],
  ]);
  expect(problems).toEqual([
    'Skipping image in node 7 due to missing filename: {"subfolder":"s","type":"output"}',
    'Skipping image in node 7 due to missing filename: null',
    'Skipping image in node 7 due to missing filename: "x"',
    'Skipping image in node 7 due to missing filename: {"filename":""}',
    'Skipping image in node 7 due to missing filename: {"filename":5}',
  ]);
});

test('no outputs at all are a problem, unless something else already went wrong', () => {
  for (const outputs of [undefined, '{}']) {
    expect(collect(outputs).problems).toEqual(['No outputs found in history for prompt p1.']);
    expect(collect(outputs, 'failed').problems).toEqual([]);
  }
});
