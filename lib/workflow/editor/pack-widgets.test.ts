import { expect, test } from '@jest/globals';
import { withClasses } from '../test-infos.ts';
import { convert, widgetSlot, type Fields } from './test-editor.ts';

const LORA_LOADER = 'Power Lora Loader (rgthree)';
const infos = withClasses({
  [LORA_LOADER]: { input: { required: {}, optional: { model: ['MODEL'], clip: ['CLIP'] } } },
  CustomCombo: { input: { required: { choice: ['COMBO', { options: [] }] } } },
  'ShowText|pysssss': { input: { required: { text: ['STRING', { forceInput: true }] } } },
  PreviewBridge: {
    input: { required: { images: ['IMAGE'], image: ['STRING', { default: '' }] } },
  },
  Load3D: {
    input: {
      required: {
        model_file: ['COMBO', { options: ['none'] }],
        image: ['LOAD_3D', {}],
        width: ['INT', { default: 1024 }],
      },
    },
  },
  ImageCompare: { input: { required: { compare_view: ['IMAGECOMPARE', { socketless: true }] } } },
  VHS_LoadVideo: {
    input: {
      required: {
        video: [[]],
        force_rate: ['FLOAT', { default: 0 }],
        custom_width: ['INT', { default: 0 }],
        custom_height: ['INT', { default: 0 }],
      },
      optional: { format: [['None'], { formats: { None: {} } }] },
    },
  },
  'Display Any (rgthree)': { input: { required: { source: ['*', {}] } } },
  'Seed (rgthree)': { input: { required: { seed: ['INT', { default: 0, min: -9, max: 9 }] } } },
  ToPipe: {
    input: {
      required: {
        wildcard: ['STRING', {}],
        'Select to add LoRA': [['Select the LoRA to add to the text']],
      },
    },
  },
});
const inputsOf = (type: string, more: Fields) =>
  convert([{ id: 1, type, outputs: [{ type: '*' }], ...more }], [], {}, infos)['1']?.inputs;

const row = (lora: string, more: Fields = {}) => ({ on: true, lora, strength: 0.7, ...more });
const loras = (...rows: object[]) => [{}, { type: 'PowerLoraLoaderHeaderWidget' }, ...rows, {}, ''];

test('the rows of a Power Lora Loader are sent', () => {
  const saved = loras(row('a'), row('b', { strengthTwo: null }));
  expect(inputsOf(LORA_LOADER, { widgets_values: saved })).toEqual({
    PowerLoraLoaderHeaderWidget: { type: 'PowerLoraLoaderHeaderWidget' },
    lora_1: row('a'),
    lora_2: row('b'),
    '➕ Add Lora': '',
  });
});

test('a Power Lora Loader that shows two strengths sends both', () => {
  const saved = loras(row('a', { strengthTwo: 0.2 }), row('b', { strengthTwo: null }));
  const properties = { 'Show Strengths': 'Separate Model & Clip' };
  expect(inputsOf(LORA_LOADER, { widgets_values: saved, properties })).toMatchObject({
    lora_1: { strengthTwo: 0.2 },
    lora_2: { strengthTwo: 1 },
  });
});

test.each([
  ['as saved', ['b', 0, 'a', 'b', '']],
  ['with an old entry behind the last choice', ['b', 0, 'a', 'b', '', 'c']],
  ['without the empty choice at the end', ['b', 0, 'a', 'b']],
])('the choices of a CustomCombo are sent, %s', (_, saved) => {
  expect(inputsOf('CustomCombo', { widgets_values: saved })).toEqual({
    choice: 'b',
    index: 1,
    option1: 'a',
    option2: 'b',
    option3: '',
  });
});

test('the texts that ShowText shows are sent', () => {
  const inputs = [widgetSlot('text', 'STRING')];
  const more = { inputs, widgets_values: ['', ['one', 'two']] };
  expect(inputsOf('ShowText|pysssss', more)).toEqual({ text_0: 'one', text_1: 'two' });
});

test('a PreviewBridge refers to itself, not to the clipspace of a browser', () => {
  const saved = [{ filename: 'clipspace-mask-1.png', subfolder: 'clipspace', type: 'input' }];
  expect(inputsOf('PreviewBridge', { widgets_values: saved })).toEqual({ image: '$1-0' });
});

test('the buttons of Load3D have places among its values', () => {
  const saved = ['toy.glb', 'upload3dmodel', 'uploadExtraResources', 'clear', '', 512];
  expect(inputsOf('Load3D', { widgets_values: saved })).toMatchObject({
    model_file: 'toy.glb',
    image: '',
    width: 512,
  });
});

test('ImageCompare sends an empty view', () => {
  expect(inputsOf('ImageCompare', { widgets_values: [] })).toEqual({
    compare_view: { __value__: ['', ''] },
  });
});

test.each([
  ['by name', { video: 'a.mp4', force_rate: 8, force_size: '512x?', 'choose video': 'image' }],
  ['by position', ['a.mp4', 8, '512x?', 0, 0, 1]],
])('the former size of a video loader becomes two numbers, %s', (_, saved) => {
  expect(inputsOf('VHS_LoadVideo', { widgets_values: saved })).toEqual({
    video: 'a.mp4',
    force_rate: 8,
    custom_width: 512,
    custom_height: 0,
    format: 'None',
  });
});

test('a seed of -1 becomes a random number where the page of the pack does so', () => {
  const { seed } = inputsOf('Seed (rgthree)', { widgets_values: [-1] }) ?? {};
  expect(seed).toEqual(expect.any(Number));
  expect(seed).not.toBe(-1);
});

test('what a node showed of the last run is not sent', () => {
  expect(inputsOf('Display Any (rgthree)', { widgets_values: ['old'] })).toEqual({ output: '' });
});

test('a menu that only inserts text has its first choice', () => {
  expect(inputsOf('ToPipe', { widgets_values: ['cat', 'style.safetensors'] })).toEqual({
    wildcard: 'cat',
    'Select to add LoRA': 'Select the LoRA to add to the text',
  });
});
