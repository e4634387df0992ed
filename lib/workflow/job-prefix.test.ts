import { expect, test } from '@jest/globals';
import { JsonText } from '../json.ts';
import { withCallersPrefix, withJobPrefix, withoutJobFolder } from './job-prefix.ts';
import { withClasses } from './test-infos.ts';

type Inputs = Readonly<Record<string, readonly [string, object?]>>;

/** The description of an output node with a `filename_prefix` and these inputs. */
const saver = (required: Inputs, optional: Inputs = {}, extra: object = {}) => ({
  input: { required: { ...required, filename_prefix: ['STRING', { default: 'x' }] }, optional },
  output: [],
  output_node: true,
  ...extra,
});

/** The inputs of each class are those of a real ComfyUI 0.33.0, or of the custom node. */
const MEDIA_SAVERS = {
  SaveImageAdvanced: saver({ images: ['IMAGE'], format: ['COMFY_DYNAMICCOMBO_V3', {}] }),
  SaveAudioAdvanced: saver({ audio: ['AUDIO'], format: ['COMFY_DYNAMICCOMBO_V3', {}] }),
  SaveText: saver({ text: ['STRING', { forceInput: true }], format: ['COMBO', {}] }),
  Save3DAdvanced: saver({ model_3d: ['FILE_3D_GLB,FILE_3D_FBX,FILE_3D'] }),
  SaveGaussianSplat: saver({ model_3d: ['FILE_3D_SPLAT_ANY,FILE_3D_PLY'] }),
  SavePointCloud: saver({ model_3d: ['FILE_3D_POINT_CLOUD_ANY,FILE_3D_PLY'] }),
  SaveMesh: saver({ mesh: ['MESH,FILE_3D_GLB'] }),
  SaveVector: saver({ svg: ['SVG'] }),
  SaveFilm: saver({ video: ['VIDEO'] }),
  VHS_VideoCombine: saver({ images: ['IMAGE,LATENT'] }, { audio: ['AUDIO'], vae: ['VAE'] }),
};

const infos = withClasses({
  ...MEDIA_SAVERS,
  CheckpointSave: saver({ model: ['MODEL'], clip: ['CLIP'], vae: ['VAE'] }),
  ImageOnlyCheckpointSave: saver({ model: ['MODEL'], clip_vision: ['CLIP_VISION'], vae: ['VAE'] }),
  CheckpointWithExample: saver({ model: ['MODEL'], example: ['IMAGE'] }),
  ModelSave: saver({ model: ['MODEL'] }),
  CLIPSave: saver({ clip: ['CLIP'] }),
  VAESave: saver({ vae: ['VAE'] }),
  LoraSave: saver({ rank: ['INT'] }, { model_diff: ['MODEL'], text_encoder_diff: ['CLIP'] }),
  SaveLoRA: saver({ lora: ['LORA_MODEL'], steps: ['INT'] }),
  LossGraphNode: saver({ loss: ['LOSS_MAP'] }),
  SaveTrainingDataset: saver({ latents: ['LATENT'], conditioning: ['CONDITIONING'] }),
  SaveImageDataSetToFolder: saver({ images: ['IMAGE'], folder_name: ['STRING'] }),
  'Image Save': saver({ images: ['IMAGE'], output_path: ['STRING'] }),
  SaveEmbeds: saver({ embeds: ['EMBEDS'], note: ['STRING', { multiline: true }] }),
  PassThrough: saver({ images: ['IMAGE'] }, {}, { output_node: false }),
});

const node = (classType: string, prefix: string) =>
  `{"1":{"class_type":"${classType}","inputs":{"filename_prefix":"${prefix}"}}}`;

const moved = (text: string) => withJobPrefix(JsonText.parse(text), 'jobs/17', infos).text;

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
  ['a node that is not installed', 'Nope', '"ComfyUI"'],
])('not changed: %s', (_what, classType, prefix) => {
  const workflow = JsonText.parse(
    `{"1":{"class_type":"${classType}","inputs":{"filename_prefix":${prefix}}}}`,
  );
  expect(withJobPrefix(workflow, 'jobs/17', infos)).toBe(workflow);
});

test.each(Object.keys(MEDIA_SAVERS))(
  '%s leaves no files behind, because it saves into the folder of the job',
  (classType) => {
    expect(moved(node(classType, 'x'))).toBe(node(classType, 'jobs/17/x'));
  },
);

test.each([
  'CheckpointSave',
  'ImageOnlyCheckpointSave',
  'CheckpointWithExample',
  'ModelSave',
  'CLIPSave',
  'VAESave',
  'LoraSave',
  'SaveLoRA',
  'LossGraphNode',
  'SaveTrainingDataset',
  'SaveImageDataSetToFolder',
  'Image Save',
  'SaveEmbeds',
  'PassThrough',
])('what %s saves is saved to stay, so it is not redirected', (classType) => {
  expect(moved(node(classType, 'x'))).toBe(node(classType, 'x'));
});

test('the prompt that ComfyUI writes into files gets the prefixes of the caller back, and nothing else changes', () => {
  const prompt = (own: string) =>
    `{"9": {"inputs": {"filename_prefix": "${own}a/b", "images": ["8", 0]}, "class_type": "SaveImage"}, "8": {"inputs": {"text": "jobs/17/x", "filename_prefix": "models/jobs/17/x"}}}`;
  const restored = (text: string) => withCallersPrefix(JsonText.parse(text), 'jobs/17').text;
  expect(restored(prompt('jobs/17/'))).toBe(prompt(''));
  expect(restored(prompt('jobs/17/jobs/17/'))).toBe(prompt('jobs/17/'));
  expect(restored(prompt('jobs/170/'))).toBe(prompt('jobs/170/'));
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
  expect(withoutJobFolder(subfolder, 'jobs/17')).toBe(told);
});
