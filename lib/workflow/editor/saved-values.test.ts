import { expect, test } from '@jest/globals';
import { JsonText } from '../../json.ts';
import { fromEditor } from './from-editor.ts';
import {
  convert,
  file,
  image,
  save,
  slot,
  widgetSlot,
  type Fields,
  type Node,
} from './test-editor.ts';
import { recordedInfos, withClasses } from '../test-infos.ts';
import { rollPrompt } from './prompt-text.ts';

const SAMPLER_INPUTS = [
  slot('model', 'MODEL', 1),
  slot('positive', 'CONDITIONING', 2),
  slot('negative', 'CONDITIONING', 3),
  slot('latent_image', 'LATENT', 4),
];
const SAMPLER_VALUES = {
  seed: 18,
  steps: 20,
  cfg: 8,
  sampler_name: 'euler',
  scheduler: 'normal',
  denoise: 1,
};
const sampler = (more: Fields): Node => ({
  id: 3,
  type: 'KSampler',
  inputs: SAMPLER_INPUTS,
  ...more,
});

test.each([
  [
    'as saved, with a control word after the seed',
    { widgets_values: [18, 'randomize', 20, 8, 'euler', 'normal', 1] },
  ],
  [
    'as other programs write it, without the control word',
    { widgets_values: [18, 20, 8, 'euler', 'normal', 1] },
  ],
  [
    'with slots for widgets, as newer editors save it',
    {
      inputs: [
        ...SAMPLER_INPUTS,
        ...Object.keys(SAMPLER_VALUES).map((name) => widgetSlot(name, 'INT')),
      ],
      widgets_values: [18, 'fixed', 20, 8, 'euler', 'normal', 1],
    },
  ],
  [
    'by name',
    {
      widgets_values: ['stale'],
      widgets_values_named: { control_after_generate: 'fixed', ...SAMPLER_VALUES },
    },
  ],
])('the widgets of a sampler are read %s', (_, values) => {
  expect(convert([sampler(values)])['3']?.inputs).toEqual(SAMPLER_VALUES);
});

test.each([
  ['two values', { seed: 7, denoise: 0.5 }],
  ['no values', {}],
])('a file that names %s has the others by position, not the defaults', (_, named) => {
  const { inputs } = convert([
    sampler({
      widgets_values: [18, 'fixed', 33, 6.5, 'dpmpp_sde', 'karras', 1],
      widgets_values_named: named,
    }),
  ])['3'] ?? { inputs: {} };
  expect(inputs).toEqual({
    ...{
      seed: 18,
      steps: 33,
      cfg: 6.5,
      sampler_name: 'dpmpp_sde',
      scheduler: 'karras',
      denoise: 1,
    },
    ...named,
  });
});

test('a widget that is newer than a file with all its values named gets its default', () => {
  const older = { seed: 18, steps: 20, cfg: 8, sampler_name: 'euler', denoise: 1 };
  const values = {
    widgets_values: [18, 'fixed', 20, 8, 'euler', 1],
    widgets_values_named: { ...older, control_after_generate: 'fixed' },
  };
  expect(convert([sampler(values)])['3']?.inputs).toEqual({ ...older, scheduler: 'simple' });
});

test('widgets without a saved value get their defaults', () => {
  expect(convert([sampler({ widgets_values: [5, 'fixed', 30] })])['3']?.inputs).toEqual({
    ...SAMPLER_VALUES,
    scheduler: 'simple',
    seed: 5,
    steps: 30,
  });
});

test.each([
  ['true', true],
  ['false', false],
  ['null', null],
  ['an empty text', ''],
])('%s in place of the control word behind a seed does not shift the values', (_, control) => {
  const saved = [18, control, 20, 8, 'euler', 'normal', 1];
  expect(convert([sampler({ widgets_values: saved })])['3']?.inputs).toEqual(SAMPLER_VALUES);
});

test.each([
  ['a text where a number belongs', ['Sample', 18, 20, 8, 'euler', 'normal', 1]],
  ['a value too many in the middle', [18, 'fixed', 20, 8, 'euler', 5, 'normal', 1]],
])('%s is refused, not shifted', (_, saved) => {
  expect(() => convert([sampler({ widgets_values: saved })])).toThrow(
    /• Node 3 \(KSampler\): its saved values do not fit the inputs of the installed class/,
  );
});

test('a node whose values do not fit is left out if no output needs it', () => {
  const odd = sampler({ inputs: [], widgets_values: ['Sample', 18] });
  const links = [[1, 1, 0, 4, 0, 'IMAGE']];
  expect(Object.keys(convert([image(1), odd, save(4, 1)], links))).toEqual(['1', '4']);
});

test('values that had a place when forced inputs were widgets are skipped', () => {
  const infos = withClasses({
    Change: {
      input: {
        required: {
          text: ['STRING', { forceInput: true }],
          operation: [['upper', 'lower']],
        },
      },
    },
  });
  const change = (saved: unknown[]) =>
    convert([{ id: 1, type: 'Change', widgets_values: saved }], [], {}, infos)['1']?.inputs;
  expect(change(['', 'lower'])).toEqual({ operation: 'lower' });
  expect(change(['lower'])).toEqual({ operation: 'lower' });
});

test('a wrong value of a linked input does not matter', () => {
  const infos = withClasses({
    Cycle: {
      input: { required: { mode: [['a', 'b']], frame: ['INT', {}], text: ['STRING', {}] } },
      output: ['INT'],
    },
  });
  const nodes = [
    { id: 5, type: 'Cycle', widgets_values: ['a', 1, 'x'], outputs: [{ type: 'INT' }] },
    {
      id: 6,
      type: 'Cycle',
      inputs: [widgetSlot('frame', 'INT', 1)],
      outputs: [],
      widgets_values: ['b', '', 'y'],
    },
  ];
  const converted = convert(nodes, [[1, 5, 0, 6, 0, 'INT']], {}, infos);
  expect(converted['6']?.inputs).toEqual({ mode: 'b', frame: ['5', 0], text: 'y' });
});

test('a switch that was a combo before keeps its word', () => {
  const infos = withClasses({
    Detail: {
      input: { required: { mask: ['BOOLEAN', { label_on: 'box' }], force: ['BOOLEAN', {}] } },
    },
  });
  const detail = { id: 1, type: 'Detail', widgets_values: ['box', 'disabled'] };
  expect(convert([detail], [], {}, infos)['1']?.inputs).toEqual({ mask: 'box', force: 'disabled' });
});

test('numbers keep their text', () => {
  const text = file([sampler({ widgets_values: [1, 'fixed'] })]).text.replace(
    '[1,',
    '[18446744073709551615,',
  );
  expect(fromEditor(JsonText.parse(text), recordedInfos).text).toContain(
    '"seed":18446744073709551615',
  );
});

test('a widget converted to an input keeps its position among the values, and the link wins', () => {
  const infos = withClasses({
    Number: {
      input: { required: { value: ['INT', {}] } },
      output: ['INT'],
      display_name: 'Number',
    },
  });
  const nodes = [
    { id: 5, type: 'Number', widgets_values: [77], outputs: [{ type: 'INT' }] },
    image(1, {
      inputs: [
        { ...widgetSlot('height', 'INT', 9), widget: { name: 'height', config: ['INT', {}] } },
      ],
    }),
  ];
  const { '1': made } = convert(nodes, [[9, 5, 0, 1, 0, 'INT']], {}, infos);
  expect(made?.inputs).toEqual({ width: 64, height: ['5', 0], batch_size: 1, color: 255 });
});

test('values saved by name keep inputs that the class does not declare, except the preview', () => {
  const infos = withClasses({
    VHS_VideoCombine: {
      input: {
        required: { frame_rate: ['FLOAT', { default: 8 }], loop_count: ['INT', { default: 0 }] },
      },
    },
  });
  const values = {
    frame_rate: 24,
    pix_fmt: 'yuv420p',
    crf: 19,
    videopreview: { hidden: false, params: {} },
  };
  const converted = convert(
    [{ id: 1, type: 'VHS_VideoCombine', widgets_values: values }],
    [],
    {},
    infos,
  );
  expect(converted['1']?.inputs).toEqual({
    frame_rate: 24,
    pix_fmt: 'yuv420p',
    crf: 19,
    loop_count: 0,
  });
});

test('a dynamic combo has the inputs of the chosen option, and forced inputs have no value', () => {
  const infos = withClasses({
    Resize: {
      input: {
        required: {
          how: [
            'COMFY_DYNAMICCOMBO_V3',
            {
              options: [
                { key: 'scale', inputs: { required: { factor: ['FLOAT', { default: 2 }] } } },
                { key: 'size', inputs: { required: { width: ['INT', {}], height: ['INT', {}] } } },
              ],
            },
          ],
          text: ['STRING', { forceInput: true }],
          method: ['COMBO', { options: ['area', 'lanczos'] }],
        },
      },
    },
  });
  const resize = { id: 1, type: 'Resize', widgets_values: ['size', 640, 480, 'lanczos'] };
  expect(convert([resize], [], {}, infos)['1']?.inputs).toEqual({
    how: 'size',
    'how.width': 640,
    'how.height': 480,
    method: 'lanczos',
  });
});

test('an array as a value is wrapped, so that ComfyUI does not take it for a link', () => {
  const infos = withClasses({
    Pick: { input: { required: { names: ['COMBO', { options: [] }] } } },
  });
  const converted = convert([{ id: 1, type: 'Pick', widgets_values: [['a', 1]] }], [], {}, infos);
  expect(converted['1']?.inputs.names).toEqual({ __value__: ['a', 1] });
});

test('a choice within a prompt is rolled, as the editor does before it submits', () => {
  const text = { id: 1, type: 'CLIPTextEncode', widgets_values: ['a {red|red} cat // or dog'] };
  expect(recordedInfos.get('CLIPTextEncode')?.text).toContain('dynamicPrompts');
  expect(convert([text])['1']?.inputs.text).toBe('a red cat ');
});

test('the upload button of a loader is not read as a value', () => {
  const load = { id: 1, type: 'LoadImageMask', widgets_values: ['in.png', 'red', 'image'] };
  expect(convert([load])['1']?.inputs).toEqual({ image: 'in.png', channel: 'red' });
});

/** All different results of many rolls. */
const outcomes = (text: string) =>
  [...new Set(Array.from({ length: 200 }, () => rollPrompt(text)))].sort();

test.each([
  ['a cat', ['a cat']],
  ['a {red|blue} cat', ['a blue cat', 'a red cat']],
  ['{a|b{1|2}}', ['a', 'b1', 'b2']],
  ['a{|n} cat', ['a cat', 'an cat']],
  ['{only}', ['only']],
  ['a \\{literal\\|brace\\}', ['a {literal|brace}']],
  ['{a\\|b|c}', ['a|b', 'c']],
  ['a /* thing\nof */ cat // or dog', ['a  cat ']],
  ['face/*detail {x}', ['face/*detail x']],
  ['a /*/ cat', ['a /*/ cat']],
  ['open { only', ['open { only']],
  ['close } only', ['close } only']],
  ['(weighted:1.2), <lora:x>', ['(weighted:1.2), <lora:x>']],
])('the prompt %j becomes one of %j', (text, expected) => {
  expect(outcomes(text)).toEqual(expected);
});

test.each([
  ['deep nesting', '{'.repeat(50_000) + 'x' + '}'.repeat(50_000)],
  ['many choices that never close', '{\\|'.repeat(50_000)],
  ['many comments that never end', `*/${'/*'.repeat(200_000)}`],
  ['many escapes in one choice', `{${'\\|'.repeat(50_000)}`],
])('rolling a prompt with %s ends', (_, text) => {
  expect(rollPrompt(text)).toBeDefined();
});

test('nested choices are rolled from the inside out', () => {
  expect(rollPrompt('{'.repeat(40) + 'x' + '}'.repeat(40))).toBe('x');
});
