import { expect, test } from '@jest/globals';
import { editorClassTypes } from './from-editor.ts';
import {
  convert,
  file,
  image,
  invert,
  save,
  slot,
  widgetSlot,
  type Fields,
  type Node,
} from './test-editor.ts';

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
/** Makes an image of the given width and inverts it. The second output passes on the first input. */
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

test('a subgraph is unfolded: its nodes get the ids that ComfyUI expects, and its borders are bridged', () => {
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
  ['the inner value if the instance has none', {}, 64],
  ['the value by name', { widgets_values_named: { width: 600 } }, 600],
  ['a value next to a control word', { widgets_values: [700, 'randomize'] }, 700],
  [
    'the value of a promoted widget',
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
])('an input with a widget on a subgraph gets %s', (_, more, width) => {
  const converted = convert([image(1), instance(12, INNER, more)], OUTSIDE, withInner);
  expect(converted['12:1']?.inputs.width).toBe(width);
});

test('a promoted widget of an inner node gets the value of the instance', () => {
  const more = { properties: { proxyWidgets: [['1', 'height']] }, widgets_values: [9] };
  const converted = convert([image(1), instance(12, INNER, more)], OUTSIDE, withInner);
  expect(converted['12:1']?.inputs.height).toBe(9);
});

test('a subgraph within a subgraph is unfolded, and passes on a value from outside', () => {
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
  const nodes = [image(1), instance(12, OUTER, { widgets_values: [333] }), save(3, 2)];
  const converted = convert(nodes, OUTSIDE, { definitions: { subgraphs: [inner, outer] } });
  expect(converted['12:5:1']?.inputs.width).toBe(333);
  expect(converted['12:5:4']?.inputs.image).toEqual(['1', 0]);
  expect(converted['3']?.inputs.images).toEqual(['12:5:2', 0]);
});

test('the value of a primitive node does not go into a subgraph, as in the editor', () => {
  const nodes = [
    image(1),
    { id: 9, type: 'PrimitiveNode', widgets_values: [333, 'fixed'], outputs: [{ type: 'INT' }] },
    {
      ...instance(12, INNER),
      inputs: [slot('picture', 'IMAGE', 1), widgetSlot('width', 'INT', 4)],
    },
  ];
  const links = [
    [1, 1, 0, 12, 0, 'IMAGE'],
    [4, 9, 0, 12, 1, 'INT'],
  ];
  expect(convert(nodes, links, withInner)['12:1']?.inputs.width).toBe(64);
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

test('a subgraph within itself, or one that unfolds to too many nodes, is refused', () => {
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

test('thousands of subgraphs within each other are refused, and do not exhaust the stack', () => {
  const levels = Array.from({ length: 4000 }, (_, depth) => ({
    id: `level ${depth}`,
    nodes: [instance(1, `level ${depth + 1}`)],
  }));
  const subgraphs = [...levels, { id: 'level 4000', nodes: [image(1)] }];
  expect(() => convert([instance(1, 'level 0')], [], { definitions: { subgraphs } })).toThrow(
    /more than 100 subgraphs within each other/,
  );
});

test('an instance whose definition is lost is refused, also without any slots', () => {
  const lost = { id: 12, type: OUTER, inputs: [], outputs: [] };
  expect(() => convert([image(1), save(3, 1), lost], [[1, 1, 0, 3, 0, 'IMAGE']])).toThrow(
    `• Node 12: the file has no definition of its subgraph ${OUTER}`,
  );
});

test('the classes to describe include those inside subgraphs', () => {
  const nodes = [image(1), instance(12, INNER), save(3, 2), { id: 8, type: 'Note' }];
  expect(editorClassTypes(file(nodes, [], withInner))).toEqual([
    'EmptyImage',
    'SaveImage',
    'ImageInvert',
  ]);
});
