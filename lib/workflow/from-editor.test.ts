import { expect, test } from '@jest/globals';
import { JsonText } from '../json.ts';
import { editorClassTypes, fromEditor } from './from-editor.ts';
import { preflight } from './preflight.ts';
import { recordedInfos, withClasses } from './test-infos.ts';

type Fields = Readonly<Record<string, unknown>>;
type Node = Fields & { readonly id: number | string; readonly type: string };
type Links = readonly (readonly unknown[] | Fields)[];

const file = (nodes: readonly Node[], links: Links = [], more: Fields = {}) =>
  JsonText.of({ last_node_id: 9, nodes, links, version: 0.4, ...more });

const convert = (
  nodes: readonly Node[],
  links: Links = [],
  more: Fields = {},
  infos = recordedInfos,
) => fromEditor(file(nodes, links, more), infos).value() as Record<string, { inputs: Fields }>;

const slot = (name: string, type: string, link: number | null = null) => ({ name, type, link });
const widgetSlot = (name: string, type: string, link: number | null = null) => ({
  ...slot(name, type, link),
  widget: { name },
});
const image = (id: number, more: Fields = {}): Node => ({
  id,
  type: 'EmptyImage',
  mode: 0,
  inputs: [],
  outputs: [{ name: 'IMAGE', type: 'IMAGE' }],
  widgets_values: [64, 32, 1, 255],
  ...more,
});
const invert = (id: number, link: number | null, more: Fields = {}): Node => ({
  id,
  type: 'ImageInvert',
  mode: 0,
  inputs: [slot('image', 'IMAGE', link)],
  outputs: [{ name: 'IMAGE', type: 'IMAGE' }],
  ...more,
});
const save = (id: number, link: number | null, more: Fields = {}): Node => ({
  id,
  type: 'SaveImage',
  mode: 0,
  inputs: [slot('images', 'IMAGE', link)],
  outputs: [],
  widgets_values: ['x'],
  ...more,
});

test('a plain workflow becomes what the menu exports, titles included', () => {
  const nodes = [image(1), save(3, 7, { title: 'Keep it' })];
  const converted = convert(nodes, [[7, 1, 0, 3, 0, 'IMAGE']]);
  expect(converted).toEqual({
    '1': {
      inputs: { width: 64, height: 32, batch_size: 1, color: 255 },
      class_type: 'EmptyImage',
      _meta: { title: 'EmptyImage' },
    },
    '3': {
      inputs: { filename_prefix: 'x', images: ['1', 0] },
      class_type: 'SaveImage',
      _meta: { title: 'Keep it' },
    },
  });
  expect(preflight(JsonText.of(converted), recordedInfos).isRefused).toBe(false);
});

test('links as objects, ids as text, and native reroutes mean the same', () => {
  const link = {
    id: 7,
    origin_id: '1',
    origin_slot: 0,
    target_id: 3,
    target_slot: 0,
    type: 'IMAGE',
    parentId: 1,
  };
  const reroutes = { extra: { reroutes: [{ id: 1, pos: [0, 0], linkIds: [7] }] } };
  expect(convert([image(1), save(3, 7)], [link], reroutes)['3']?.inputs.images).toEqual(['1', 0]);
});

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
    'as saved, with the word behind the seed',
    { widgets_values: [18, 'randomize', 20, 8, 'euler', 'normal', 1] },
  ],
  ['as made by programs, without it', { widgets_values: [18, 20, 8, 'euler', 'normal', 1] }],
  [
    'with sockets for widgets, as newer editors save',
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

test('a file with fewer values than widgets gets the defaults', () => {
  expect(convert([sampler({ widgets_values: [5, 'fixed', 30] })])['3']?.inputs).toEqual({
    ...SAMPLER_VALUES,
    scheduler: 'simple',
    seed: 5,
    steps: 30,
  });
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

test('a widget made into an input keeps its place among the values, and the link wins', () => {
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

test('a primitive gives its value, also through a reroute', () => {
  const nodes = [
    { id: 5, type: 'PrimitiveNode', widgets_values: [99, 'fixed'], outputs: [{ type: 'INT' }] },
    { id: 6, type: 'Reroute', inputs: [slot('', '*', 1)], outputs: [{ type: '*' }] },
    image(1, { inputs: [widgetSlot('width', 'INT', 2)] }),
  ];
  const converted = convert(nodes, [
    [1, 5, 0, 6, 0, '*'],
    [2, 6, 0, 1, 0, 'INT'],
  ]);
  expect(Object.keys(converted)).toEqual(['1']);
  expect(converted['1']?.inputs.width).toBe(99);
});

test('reroutes and named connections are bridged, remarks are dropped', () => {
  const nodes = [
    image(1),
    { id: 2, type: 'Reroute', inputs: [slot('', '*', 1)], outputs: [{ type: 'IMAGE' }] },
    {
      id: 4,
      type: 'SetNode',
      inputs: [slot('IMAGE', 'IMAGE', 2)],
      outputs: [{ type: '*' }],
      widgets_values: ['pic'],
    },
    { id: 5, type: 'GetNode', inputs: [], outputs: [{ type: 'IMAGE' }], widgets_values: ['pic'] },
    save(3, 3),
    { id: 8, type: 'Note', widgets_values: ['remember'] },
    { id: 9, type: 'MarkdownNote', widgets_values: ['# remember'] },
  ];
  const converted = convert(nodes, [
    [1, 1, 0, 2, 0, '*'],
    [2, 2, 0, 4, 0, '*'],
    [3, 5, 0, 3, 0, '*'],
  ]);
  expect(Object.keys(converted)).toEqual(['1', '3']);
  expect(converted['3']?.inputs.images).toEqual(['1', 0]);
});

test('a muted node takes its links with it', () => {
  const nodes = [image(1), invert(2, 1, { mode: 2 }), save(3, 2)];
  const converted = convert(nodes, [
    [1, 1, 0, 2, 0, 'IMAGE'],
    [2, 2, 0, 3, 0, 'IMAGE'],
  ]);
  expect(Object.keys(converted)).toEqual(['1', '3']);
  expect(converted['3']?.inputs).toEqual({ filename_prefix: 'x' });
});

test('a bypassed node passes on the input of the type that is wanted', () => {
  const infos = withClasses({
    Mixed: { input: { required: { mask: ['MASK'], image: ['IMAGE'] } }, output: ['IMAGE'] },
  });
  const mixed = {
    id: 2,
    type: 'Mixed',
    mode: 4,
    inputs: [slot('mask', 'MASK', 1), slot('image', 'IMAGE', 2)],
    outputs: [{ type: 'IMAGE' }],
  };
  const nodes = [image(1), image(7), mixed, save(3, 3)];
  const links = [
    [1, 7, 0, 2, 0, 'MASK'],
    [2, 1, 0, 2, 1, 'IMAGE'],
    [3, 2, 0, 3, 0, 'IMAGE'],
  ];
  expect(convert(nodes, links, {}, infos)['3']?.inputs.images).toEqual(['1', 0]);
});

test('a bypassed loader leaves nothing behind', () => {
  const converted = convert([image(1, { mode: 4 }), save(3, 1)], [[1, 1, 0, 3, 0, 'IMAGE']]);
  expect(converted).toEqual({ '3': expect.objectContaining({ inputs: { filename_prefix: 'x' } }) });
});

const INNER = 'c0ffee00-0000-4000-8000-000000000001';
const OUTER = 'c0ffee00-0000-4000-8000-000000000002';
const link = (id: number, from: readonly [number, number], to: readonly [number, number]) => ({
  id,
  origin_id: from[0],
  origin_slot: from[1],
  target_id: to[0],
  target_slot: to[1],
  type: 'IMAGE',
});
/** Makes an image as wide as it is told, and inverts it; the second output is its first input, unchanged. */
const inner = {
  id: INNER,
  name: 'Inner',
  inputs: [
    { name: 'picture', type: 'IMAGE' },
    { name: 'width', type: 'INT' },
  ],
  outputs: [
    { name: 'made', type: 'IMAGE' },
    { name: 'same', type: 'IMAGE' },
  ],
  nodes: [image(1, { inputs: [widgetSlot('width', 'INT', 2)] }), invert(2, 3), invert(4, 5)],
  links: [
    link(2, [-10, 1], [1, 0]),
    link(3, [1, 0], [2, 0]),
    link(4, [2, 0], [-20, 0]),
    link(5, [-10, 0], [4, 0]),
    link(6, [-10, 0], [-20, 1]),
  ],
};
const instance = (id: number, type: string, more: Fields = {}): Node => ({
  id,
  type,
  mode: 0,
  inputs: [slot('picture', 'IMAGE', 1), widgetSlot('width', 'INT')],
  outputs: [{ type: 'IMAGE' }, { type: 'IMAGE' }],
  ...more,
});
const OUTSIDE = [
  [1, 1, 0, 12, 0, 'IMAGE'],
  [2, 12, 0, 3, 0, 'IMAGE'],
  [3, 12, 1, 5, 0, 'IMAGE'],
];
const withInner = { definitions: { subgraphs: [inner] } };

test('a subgraph is unfolded: its nodes get the ids ComfyUI knows, and its borders are bridged', () => {
  const nodes = [image(1), instance(12, INNER, { widgets_values: [500] }), save(3, 2), save(5, 3)];
  const converted = convert(nodes, OUTSIDE, withInner);
  expect(Object.keys(converted).sort()).toEqual(['1', '12:1', '12:2', '12:4', '3', '5']);
  expect(converted['12:1']?.inputs.width).toBe(500);
  expect(converted['12:2']?.inputs.image).toEqual(['12:1', 0]);
  expect(converted['12:4']?.inputs.image).toEqual(['1', 0]);
  expect(converted['3']?.inputs.images).toEqual(['12:2', 0]);
  expect(converted['5']?.inputs.images).toEqual(['1', 0]);
});

test.each([
  ['the value of the instance', { widgets_values: [500] }, 500],
  ['the inner value when the instance has none', {}, 64],
  ['the value by name', { widgets_values_named: { width: 600 } }, 600],
  ['a value beside a word of the editor', { widgets_values: [700, 'randomize'] }, 700],
  [
    'the value of a widget that is shown',
    {
      properties: {
        proxyWidgets: [
          ['1', 'height'],
          ['-1', 'width'],
        ],
      },
      widgets_values: [9, 800],
    },
    800,
  ],
])('a widget on a subgraph has %s', (_, more, width) => {
  const converted = convert([image(1), instance(12, INNER, more)], OUTSIDE, withInner);
  expect(converted['12:1']?.inputs.width).toBe(width);
});

test('a widget of an inner node that is shown outside has the value it has there', () => {
  const more = { properties: { proxyWidgets: [['1', 'height']] }, widgets_values: [9] };
  const converted = convert([image(1), instance(12, INNER, more)], OUTSIDE, withInner);
  expect(converted['12:1']?.inputs.height).toBe(9);
});

test('a subgraph within a subgraph, and a primitive outside of it', () => {
  const outer = {
    id: OUTER,
    inputs: inner.inputs,
    outputs: inner.outputs,
    nodes: [
      {
        ...instance(5, INNER),
        inputs: [slot('picture', 'IMAGE', 1), widgetSlot('width', 'INT', 2)],
      },
    ],
    links: [link(1, [-10, 0], [5, 0]), link(2, [-10, 1], [5, 1]), link(3, [5, 0], [-20, 0])],
  };
  const nodes = [
    image(1),
    { id: 9, type: 'PrimitiveNode', widgets_values: [333, 'fixed'], outputs: [{ type: 'INT' }] },
    {
      ...instance(12, OUTER),
      inputs: [slot('picture', 'IMAGE', 1), widgetSlot('width', 'INT', 4)],
    },
    save(3, 2),
  ];
  const links = [...OUTSIDE, [4, 9, 0, 12, 1, 'INT']];
  const converted = convert(nodes, links, { definitions: { subgraphs: [inner, outer] } });
  expect(converted['12:5:1']?.inputs.width).toBe(333);
  expect(converted['12:5:4']?.inputs.image).toEqual(['1', 0]);
  expect(converted['3']?.inputs.images).toEqual(['12:5:2', 0]);
});

test.each([
  [2, { filename_prefix: 'x' }],
  [4, { filename_prefix: 'x', images: ['1', 0] }],
])('a subgraph in mode %i is not unfolded', (mode, inputs) => {
  const converted = convert(
    [image(1), instance(12, INNER, { mode }), save(3, 2)],
    OUTSIDE,
    withInner,
  );
  expect(Object.keys(converted)).toEqual(['1', '3']);
  expect(converted['3']?.inputs).toEqual(inputs);
});

test('values by name keep inputs the class does not declare, but not the preview', () => {
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

test('a choice brings its own inputs, and forced inputs have no value', () => {
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

test('a list as a value is wrapped, so that it is not taken for a link', () => {
  const infos = withClasses({
    Pick: { input: { required: { names: ['COMBO', { options: [] }] } } },
  });
  const converted = convert([{ id: 1, type: 'Pick', widgets_values: [['a', 1]] }], [], {}, infos);
  expect(converted['1']?.inputs.names).toEqual({ __value__: ['a', 1] });
});

test('a choice within a prompt is made, as the editor does before it submits', () => {
  const text = { id: 1, type: 'CLIPTextEncode', widgets_values: ['a {red|red} cat // or dog'] };
  expect(recordedInfos.get('CLIPTextEncode')?.text).toContain('dynamicPrompts');
  expect(convert([text])['1']?.inputs.text).toBe('a red cat ');
});

test('the upload button of a loader is no value', () => {
  const load = { id: 1, type: 'LoadImageMask', widgets_values: ['in.png', 'red', 'image'] };
  expect(convert([load])['1']?.inputs).toEqual({ image: 'in.png', channel: 'red' });
});

test('classes that are not installed, and group nodes, are all named', () => {
  const nodes = [
    { id: 1, type: 'Foo' },
    { id: 2, type: 'Foo' },
    { id: 3, type: 'workflow>mine' },
    { id: 4, type: 'Bar', mode: 2 },
  ];
  expect(() => convert(nodes)).toThrow(
    /• Nodes 1, 2: the class "Foo" is not installed\n• Node 3: "workflow>mine" is a group node.*\n.*Workflow > Export \(API\)/,
  );
});

test('a workflow that leads round in a circle, or unfolds without end, is refused', () => {
  const reroutes = [
    { id: 1, type: 'Reroute', inputs: [slot('', '*', 2)], outputs: [] },
    { id: 2, type: 'Reroute', inputs: [slot('', '*', 1)], outputs: [] },
    save(3, 1),
  ];
  const links = [
    [1, 1, 0, 2, 0, '*'],
    [2, 2, 0, 1, 0, '*'],
  ];
  expect(() => convert(reroutes, links)).toThrow(/Node \d \(Reroute\) is linked to itself/);

  const itself = { ...inner, nodes: [instance(1, INNER)] };
  expect(() => convert([instance(1, INNER)], [], { definitions: { subgraphs: [itself] } })).toThrow(
    /within itself/,
  );

  const folded = Array.from({ length: 8 }, (_, depth) => ({
    id: `level ${depth}`,
    nodes: Array.from({ length: 10 }, (__, at) => instance(at, `level ${depth + 1}`)),
  }));
  const bomb = [...folded, { id: 'level 8', nodes: [image(1)] }];
  expect(() => convert([instance(1, 'level 0')], [], { definitions: { subgraphs: bomb } })).toThrow(
    /more than 10000 nodes/,
  );
});

test('the classes to be described are told, inner ones included', () => {
  const nodes = [image(1), instance(12, INNER), save(3, 2), { id: 8, type: 'Note' }];
  expect(editorClassTypes(file(nodes, [], withInner))).toEqual([
    'EmptyImage',
    'SaveImage',
    'ImageInvert',
  ]);
});
