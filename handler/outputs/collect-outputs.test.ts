import { expect, test } from '@jest/globals';
import { JsonText } from '../../lib/json.ts';
import { collectOutputs } from './collect-outputs.ts';

const collect = (outputs: string | undefined, ending: 'succeeded' | 'failed' = 'succeeded') =>
  collectOutputs({
    promptId: 'p1',
    ending,
    outputs: outputs === undefined ? undefined : JsonText.parse(outputs),
  });

test('images come in the order ComfyUI ran the nodes, not in the order of the node ids', () => {
  const { outputFiles, problems } = collect(
    `{"10":{"images":[{"filename":"b.png","subfolder":"x","type":"output"},{"filename":"c.mp4","subfolder":"","type":"input"}]},
      "9":{"images":[{"filename":"a.png","subfolder":"","type":"output"}],"animated":[true]}}`,
  );
  expect(outputFiles).toEqual([
    { nodeId: '10', key: 'images', filename: 'b.png', subfolder: 'x', type: 'output' },
    { nodeId: '10', key: 'images', filename: 'c.mp4', subfolder: '', type: 'input' },
    { nodeId: '9', key: 'images', filename: 'a.png', subfolder: '', type: 'output' },
  ]);
  expect(problems).toEqual([]);
});

test('previews are skipped without a problem, even those without a filename', () => {
  expect(collect('{"1":{"images":[{"type":"temp"},{"filename":"t.png","type":"temp"}]}}')).toEqual({
    outputFiles: [],
    texts: [],
    problems: [],
  });
});

test('outputs without files are not a problem', () => {
  for (const outputs of [
    '{"1":{"images":[]}}',
    '{"1":{"other":[{"filename":"a.mp4"}]}}',
    '{"1":null}',
  ]) {
    expect(collect(outputs)).toEqual({ outputFiles: [], texts: [], problems: [] });
  }
});

test('one malformed entry costs only itself', () => {
  const { outputFiles, problems } = collect(
    '{"7":{"images":[{"filename":"a.png"},{"subfolder":"s","type":"output"},null,"x",{"filename":""},{"filename":5},{"filename":"b.png","subfolder":null}]}}',
  );
  expect(outputFiles.map(({ filename, subfolder, type }) => [filename, subfolder, type])).toEqual([
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

test('videos under gifs and videos are saved files unless they say otherwise, and one without a name is reported', () => {
  const { outputFiles, problems } = collect(
    '{"5":{"gifs":[{"filename":"a.mp4"},{"type":"temp"},{"filename":"b.mp4","type":"temp"},{"format":"video/webm"}],"videos":[{"filename":"c.webm","subfolder":"s","type":"output"},{"filename":""}]}}',
  );
  expect(outputFiles).toEqual([
    { nodeId: '5', key: 'gifs', filename: 'a.mp4', subfolder: '', type: 'output' },
    { nodeId: '5', key: 'videos', filename: 'c.webm', subfolder: 's', type: 'output' },
  ]);
  expect(problems).toEqual([
    'Skipping video in node 5 due to missing filename: {"format":"video/webm"}',
    'Skipping video in node 5 due to missing filename: {"filename":""}',
  ]);
});

test('an empty history is a problem, unless the prompt failed anyway', () => {
  for (const outputs of [undefined, '{}']) {
    expect(collect(outputs).problems).toEqual(['No outputs found in history for prompt p1.']);
    expect(collect(outputs, 'failed').problems).toEqual([]);
  }
});

test('files of custom nodes are found under any key and in nested lists and objects', () => {
  const file = (name: string) => `{"filename":"${name}","subfolder":"s","type":"output"}`;
  const { outputFiles, problems } = collect(
    `{"5":{"gifs":[${file('a.mp4')}],"3d":${file('b.glb')},"x":[[${file('c.wav')}]],"y":{"z":[${file('d.json')}]},
      "images":[${file('e.png')}],"w":[{"files":[${file('f.latent')}]}],"animated":[true],"score":[NaN,null]}}`,
  );
  expect(outputFiles.map(({ key, filename }) => [key, filename])).toEqual([
    ['images', 'e.png'],
    ['gifs', 'a.mp4'],
    ['3d', 'b.glb'],
    ['x', 'c.wav'],
    ['y', 'd.json'],
    ['w', 'f.latent'],
  ]);
  expect(problems).toEqual([]);
});

test('a file that a node lists twice is returned once, under images if it is there', () => {
  const file = '{"filename":"a.mp4","subfolder":"","type":"output"}';
  const { outputFiles } = collect(`{"5":{"video":[${file}],"gifs":[${file}],"images":[${file}]}}`);
  expect(outputFiles.map(({ key }) => key)).toEqual(['images']);
});

test('previews under other keys and entries without a known folder are skipped', () => {
  const { outputFiles, problems } = collect(
    '{"5":{"audio":[{"filename":"a.flac","type":"temp"},{"filename":"b.flac","type":"cloud"},{"filename":"","type":"output"}]}}',
  );
  expect({ outputFiles, problems }).toEqual({ outputFiles: [], problems: [] });
});

test('texts are collected by node and key, without the texts that describe files', () => {
  const { texts } = collect(
    '{"7":{"text":["a","b"],"tags":[["c"]],"string":"d"},"8":{"gifs":[{"filename":"a.mp4","type":"output","format":"x"}],"images":["no"],"n":[1]}}',
  );
  expect(texts).toEqual([
    { nodeId: '7', key: 'text', text: 'a' },
    { nodeId: '7', key: 'text', text: 'b' },
    { nodeId: '7', key: 'tags', text: 'c' },
    { nodeId: '7', key: 'string', text: 'd' },
  ]);
});
