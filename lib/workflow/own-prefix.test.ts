import { expect, test } from '@jest/globals';
import { JsonText } from '../json.ts';
import { withOwnPrefix, withoutOwnPrefix } from './own-prefix.ts';

const moved = (text: string) => withOwnPrefix(JsonText.parse(text), 'jobs/17').text;

test('nodes that save results get the folder in front of their prefix, and no other character changes', () => {
  const workflow = (prefix: (own: string) => string) =>
    `{ "9": {"class_type":"SaveImage","inputs":{"images":["8",0], "filename_prefix" : "${prefix('a\\u00e9/%date:yyyy%')}"}},
      "8": {"class_type":"VHS_VideoCombine","inputs":{"filename_prefix":"${prefix('x')}","crf":1.0}},
      "3": {"class_type":"KSampler","inputs":{"seed":18446744073709551615}} }`;
  expect(moved(workflow((own) => own))).toBe(workflow((own) => `jobs/17/${own}`));
});

test.each([
  ['a prefix that leads out, for ComfyUI to refuse', 'SaveImage', '"../x"'],
  ['one that does so later', 'SaveImage', '"a/../../x"'],
  ['one that does so on Windows', 'SaveImage', '"..\\\\x"'],
  ['an absolute one', 'SaveImage', '"/tmp/x"'],
  ['one with a drive', 'SaveImage', '"c:/x"'],
  ['an empty one', 'SaveImage', '""'],
  ['one that names only the folder', 'SaveImage', '"./"'],
  ['one that is linked to another node', 'SaveImage', '["3",0]'],
  ['one that is not a text', 'SaveImage', '7'],
  ['nodes that save models', 'CheckpointSave', '"checkpoints/ComfyUI"'],
  ['unknown nodes', 'Image Save', '"ComfyUI"'],
])('not changed: %s', (_what, classType, prefix) => {
  const workflow = JsonText.parse(
    `{"1":{"class_type":"${classType}","inputs":{"filename_prefix":${prefix}}}}`,
  );
  expect(withOwnPrefix(workflow, 'jobs/17')).toBe(workflow);
});

test('a prefix that leaves a folder but stays inside the output folder is changed', () => {
  const workflow = '{"1":{"class_type":"SaveImage","inputs":{"filename_prefix":"a/../x"}}}';
  expect(moved(workflow)).toContain('"jobs/17/a/../x"');
});

test.each(['{}', '{"1":{}}', '{"1":{"class_type":"SaveImage"}}', '{"1":null}', '[]'])(
  'a workflow without such nodes is returned unchanged: %s',
  (text) => {
    expect(moved(text)).toBe(text);
  },
);

test.each([
  ['jobs/17', ''],
  ['jobs/17/video', 'video'],
  ['jobs/177', 'jobs/177'],
  ['video', 'video'],
])('the subfolder %j is reported as %j', (subfolder, told) => {
  expect(withoutOwnPrefix(subfolder, 'jobs/17')).toBe(told);
});
