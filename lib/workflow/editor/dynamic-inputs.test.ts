import { expect, test } from '@jest/globals';
import { withClasses } from '../test-infos.ts';
import { convert, widgetSlot, type Fields } from './test-editor.ts';

const ROW = {
  required: {
    lora_name: ['COMBO', { options: ['A.safetensors', 'B.safetensors'] }],
    strength: ['FLOAT', { default: 1 }],
  },
  optional: { enabled: ['BOOLEAN', { default: true }] },
};
const text = ['STRING', {}];
const infos = withClasses({
  LoadLoras: {
    input: {
      required: {
        before: text,
        loras: ['COMFY_DYNAMICGROUP_V3', { min: 0, max: 50, template: ROW }],
        after: text,
      },
    },
  },
  AtLeastOne: {
    input: { required: { loras: ['COMFY_DYNAMICGROUP_V3', { min: 1, template: ROW }] } },
  },
  SaveFilm: {
    input: {
      required: {
        format: [
          'COMFY_DYNAMICCOMBO_V3',
          {
            options: [
              { key: 'auto', inputs: { required: {} } },
              {
                key: 'mp4',
                inputs: {
                  required: {
                    codec: [
                      'COMFY_DYNAMICCOMBO_V3',
                      {
                        options: [
                          { key: 'h264', inputs: { required: { crf: ['INT', { default: 19 }] } } },
                          { key: 'av1', inputs: { required: { speed: ['INT', { default: 4 }] } } },
                        ],
                      },
                    ],
                    seed: ['INT', { control_after_generate: true }],
                  },
                },
              },
            ],
          },
        ],
        after: text,
      },
    },
  },
  Join: {
    input: {
      required: {
        texts: [
          'COMFY_AUTOGROW_V3',
          { template: { input: { required: { text } }, prefix: 'text', min: 2, max: 9 } },
        ],
        images: [
          'COMFY_AUTOGROW_V3',
          { template: { input: { required: { image: ['IMAGE', {}] } }, prefix: 'image', min: 1 } },
        ],
        after: text,
      },
    },
  },
  Combine: {
    input: {
      required: {
        format: [['gif', 'mp4'], { formats: { mp4: [['crf', 'INT', { default: 19 }]] } }],
      },
    },
  },
});
const inputsOf = (type: string, more: Fields) =>
  convert([{ id: 1, type, outputs: [{ type: '*' }], ...more }], [], {}, infos)['1']?.inputs;

test('the rows of a dynamic group are read, and the values behind it are not shifted', () => {
  const saved = ['head', 2, 'A.safetensors', 0.5, true, 'B.safetensors', 0.7, false, 'tail'];
  expect(inputsOf('LoadLoras', { widgets_values: saved })).toEqual({
    before: 'head',
    'loras.0.lora_name': 'A.safetensors',
    'loras.0.strength': 0.5,
    'loras.0.enabled': true,
    'loras.1.lora_name': 'B.safetensors',
    'loras.1.strength': 0.7,
    'loras.1.enabled': false,
    after: 'tail',
  });
});

test('a dynamic group without rows takes one place', () => {
  expect(inputsOf('LoadLoras', { widgets_values: ['head', 0, 'tail'] })).toEqual({
    before: 'head',
    after: 'tail',
  });
});

test('a dynamic group has at least its minimum of rows', () => {
  expect(inputsOf('AtLeastOne', {})).toEqual({
    'loras.0.lora_name': 'A.safetensors',
    'loras.0.strength': 1,
    'loras.0.enabled': true,
  });
});

test('the rows of a dynamic group are read by name', () => {
  const named = { before: 'b', loras: 1, 'loras.0.lora_name': 'B.safetensors', after: 'a' };
  expect(inputsOf('LoadLoras', { widgets_values: ['stale'], widgets_values_named: named })).toEqual(
    {
      before: 'b',
      'loras.0.lora_name': 'B.safetensors',
      'loras.0.strength': 1,
      'loras.0.enabled': true,
      after: 'a',
    },
  );
});

test('a dynamic combo within a dynamic combo is read, with the control word behind an inner seed', () => {
  const saved = ['mp4', 'av1', 8, 77, 'randomize', 'tail'];
  expect(inputsOf('SaveFilm', { widgets_values: saved })).toEqual({
    format: 'mp4',
    'format.codec': 'av1',
    'format.codec.speed': 8,
    'format.seed': 77,
    after: 'tail',
  });
});

test('a dynamic combo without a saved value gets its defaults, inner ones included', () => {
  expect(inputsOf('SaveFilm', { widgets_values: ['mp4'] })).toEqual({
    format: 'mp4',
    'format.codec': 'h264',
    'format.codec.crf': 19,
    'format.seed': 0,
    after: '',
  });
});

test('a dynamic combo with an unknown choice is refused, because the values behind it cannot be told apart', () => {
  expect(() => inputsOf('SaveFilm', { widgets_values: ['mkv', 1, 2, 'tail'] })).toThrow(
    /Node 1 \(SaveFilm\): its saved values do not fit/,
  );
});

test('inputs of a video format have no prefix', () => {
  expect(
    inputsOf('Combine', { widgets_values: { format: 'mp4', crf: 30, button: 'image' } }),
  ).toEqual({
    format: 'mp4',
    crf: 30,
  });
});

test('the inputs of a growing list have a place each if they have a widget', () => {
  expect(inputsOf('Join', { widgets_values: ['a', 'b', 'tail'] })).toEqual({
    'texts.text0': 'a',
    'texts.text1': 'b',
    after: 'tail',
  });
  const inputs = ['texts.text0', 'texts.text1', 'texts.text2'].map((name) =>
    widgetSlot(name, 'STRING'),
  );
  expect(inputsOf('Join', { inputs, widgets_values: ['a', 'b', 'c', 'tail'] })).toEqual({
    'texts.text0': 'a',
    'texts.text1': 'b',
    'texts.text2': 'c',
    after: 'tail',
  });
});
