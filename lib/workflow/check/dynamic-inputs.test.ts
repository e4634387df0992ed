import { expect, test } from '@jest/globals';
import { JsonText } from '../../json.ts';
import { withClasses } from '../test-infos.ts';
import { preflight } from './preflight.ts';

const look = (workflow: object, strict = false) =>
  preflight(JsonText.of(workflow), newerInfos, { strict });

/** `node type input` of every complaint. */
const complaints = (workflow: object, strict = false) =>
  look(workflow, strict)
    .nodeErrors.entries()
    .flatMap(([nodeId, entry]) =>
      (entry.get('errors')?.items() ?? []).map((error) =>
        [
          nodeId,
          error.get('type')?.asString(),
          error.get('extra_info')?.get('input_name')?.asString(),
        ]
          .filter((part) => part !== undefined)
          .join(' '),
      ),
    );

const node = (classType: string, inputs: object) => ({ class_type: classType, inputs });
const image = (values: object = {}) =>
  node('EmptyImage', { width: 8, height: 8, batch_size: 1, color: 0, ...values });
const save = (from: string, values: object = {}) =>
  node('SaveImage', { images: [from, 0], filename_prefix: 'x', ...values });

/** Classes of ComfyUI 0.33, as it describes them. */
const newerInfos = withClasses({
  ComfySwitchNode: {
    input: {
      required: {
        switch: ['BOOLEAN', {}],
        on_false: ['COMFY_MATCHTYPE_V3', { lazy: true, template: { template_id: 'switch' } }],
        on_true: ['COMFY_MATCHTYPE_V3', { lazy: true, template: { template_id: 'switch' } }],
      },
    },
    output: ['COMFY_MATCHTYPE_V3'],
    python_module: 'comfy_extras.nodes_logic',
  },
  CustomCombo: {
    input: { required: { choice: ['COMBO', { multiselect: false, options: [] }] } },
    output: ['STRING', 'INT'],
    python_module: 'comfy_extras.nodes_logic',
  },
  BatchImagesNode: {
    input: {
      required: {
        images: [
          'COMFY_AUTOGROW_V3',
          {
            template: {
              input: { required: { image: ['IMAGE', {}] } },
              prefix: 'image',
              min: 2,
              max: 50,
            },
          },
        ],
      },
    },
    output: ['IMAGE'],
    python_module: 'comfy_extras.nodes_post_processing',
  },
  ResizeImageMaskNode: {
    input: {
      required: {
        input: ['COMFY_MATCHTYPE_V3', { template: { allowed_types: 'IMAGE,MASK' } }],
        resize_type: [
          'COMFY_DYNAMICCOMBO_V3',
          {
            options: [
              { key: 'scale width', inputs: { required: { width: ['INT', { min: 0 }] } } },
              { key: 'match size', inputs: { required: { match: ['IMAGE,MASK', {}] } } },
            ],
          },
        ],
      },
    },
    output: ['COMFY_MATCHTYPE_V3'],
    python_module: 'comfy_extras.nodes_post_processing',
  },
  MaskedBlur: {
    input: {
      required: { image: ['IMAGE'] },
      optional: {
        mask: [
          'COMFY_DYNAMICSLOT_V3',
          { slotType: 'MASK', inputs: { required: { other: ['IMAGE', {}] } } },
        ],
      },
    },
    output: ['IMAGE'],
    python_module: 'custom_nodes.some',
  },
});

test('match types, switches and empty combos are not complained about beside the real problem', () => {
  const workflow = {
    '1': image({ width: 'wide' }),
    '2': node('ComfySwitchNode', { switch: true, on_false: ['1', 0], on_true: ['1', 0] }),
    '3': node('CustomCombo', { choice: 'a' }),
    '4': node('ResizeImageMaskNode', {
      input: ['2', 0],
      resize_type: 'scale width',
      'resize_type.width': 8,
    }),
    '5': save('4', { filename_prefix: ['3', 0] }),
  };
  for (const strict of [false, true]) {
    expect(complaints(workflow, strict)).toEqual(['1 invalid_input_type width']);
  }
});

test.each([
  [
    'an autogrow input',
    'BatchImagesNode',
    { 'images.image0': ['1', 0], 'images.image1': ['9', 0] },
  ],
  [
    'the chosen option of a dynamic combo',
    'ResizeImageMaskNode',
    { input: ['1', 0], resize_type: 'match size', 'resize_type.match': ['9', 0] },
  ],
  ['a dynamic slot', 'MaskedBlur', { image: ['1', 0], mask: ['1', 0], 'mask.other': ['9', 0] }],
])(
  'a link to a missing node in %s is refused by ComfyUI and does not crash it',
  (_where, classType, inputs) => {
    const workflow = { '1': image(), '2': node(classType, inputs), '3': save('2'), '4': save('1') };
    expect(look(workflow)).toMatchObject({ isRefused: false });
    expect(complaints(workflow)).toEqual(['2 exception_during_validation']);
  },
);

test('a link to a missing node in an option that is not chosen crashes ComfyUI, and is refused', () => {
  const inputs = { input: ['1', 0], resize_type: 'scale width', 'resize_type.match': ['9', 0] };
  const workflow = {
    '1': image(),
    '2': node('ResizeImageMaskNode', { ...inputs, 'resize_type.width': 8 }),
    '3': save('2'),
  };
  expect(look(workflow)).toMatchObject({ isRefused: true });
  expect(complaints(workflow).join()).toContain('exception_during_validation');
});

test('nodes behind a dynamic input are checked', () => {
  const workflow = {
    '1': image({ width: 'wide' }),
    '2': node('BatchImagesNode', { 'images.image0': ['1', 0] }),
    '3': save('2'),
  };
  expect(complaints(workflow)).toEqual(['1 invalid_input_type width']);
  expect(complaints(workflow, true)).toContain('2 required_input_missing images.image1');
});
