import { expect, test } from '@jest/globals';
import { convert, image, slot, widgetSlot, type Fields, type Node } from './test-editor.ts';
import { withClasses } from '../test-infos.ts';

const ID = 'c0ffee00-0000-4000-8000-000000000003';
const SIZES = ['width', 'height', 'batch_size', 'color'];
const infos = withClasses({
  Show: { input: { required: { source: ['*', {}] } }, output: [], output_node: true },
});
const link = (id: number, slotIndex: number, target: number, targetSlot: number) => ({
  id,
  origin_id: -10,
  origin_slot: slotIndex,
  target_id: target,
  target_slot: targetSlot,
  type: 'INT',
});

/** A subgraph with one input for each widget of an image, and a node that shows the width. */
const subgraph = {
  id: ID,
  inputs: SIZES.map((name, index) => ({
    name,
    type: 'INT',
    linkIds: name === 'width' ? [1, 9] : [index + 1],
  })),
  outputs: [],
  nodes: [
    image(5, { inputs: SIZES.map((name, index) => widgetSlot(name, 'INT', index + 1)) }),
    { id: 6, type: 'Show', inputs: [slot('source', '*', 9)], outputs: [] },
  ],
  links: [...SIZES.map((_, index) => link(index + 1, index, 5, index)), link(9, 0, 6, 0)],
};
const convertInstance = (more: Fields) => {
  const node: Node = { id: 10, type: ID, mode: 0, inputs: [], outputs: [], ...more };
  return convert([node], [], { definitions: { subgraphs: [subgraph] } }, infos);
};

test('values of a newer editor follow the inputs of the subgraph, although slots without a link are missing', () => {
  const converted = convertInstance({
    inputs: [{ ...widgetSlot('batch_size', 'INT'), label: 'count' }],
    widgets_values: [640, 480, 3, 255],
  });
  expect(converted['10:5']?.inputs).toEqual({ width: 640, height: 480, batch_size: 3, color: 255 });
});

test('the value of a subgraph input reaches an inner input without a widget', () => {
  expect(convertInstance({ widgets_values: [640] })['10:6']?.inputs).toEqual({ source: 640 });
});

test('without a value of the instance, the inner widget gives its own value to all that is linked to the input', () => {
  const converted = convertInstance({});
  expect(converted['10:5']?.inputs.width).toBe(64);
  expect(converted['10:6']?.inputs).toEqual({ source: 64 });
});

test('a promoted widget also reaches an inner input without a widget', () => {
  const properties = {
    proxyWidgets: [
      ['5', 'height'],
      ['5', 'width'],
    ],
  };
  const converted = convertInstance({ properties, widgets_values: [77, 88] });
  expect(converted['10:5']?.inputs).toMatchObject({ width: 88, height: 77 });
  expect(converted['10:6']?.inputs).toEqual({ source: 88 });
});

test('the value of a promoted widget takes the place of an inner link, also under the long name of old files', () => {
  const inverted = { ...subgraph, nodes: [image(4), ...subgraph.nodes] };
  const inner = { origin_id: 4, origin_slot: 0, target_id: 6, target_slot: 0, type: '*' };
  const links = [...subgraph.links.filter(({ id }) => id !== 9), { id: 9, ...inner }];
  const definitions = { subgraphs: [{ ...inverted, links }] };
  const shown = (properties: Fields) => {
    const node = { id: 10, type: ID, inputs: [], outputs: [], properties, widgets_values: ['x'] };
    return convert([node], [], { definitions }, infos)['10:6']?.inputs.source;
  };
  expect(shown({ proxyWidgets: [['4', 'width']] })).toEqual(['10:4', 0]);
  expect(shown({ proxyWidgets: [['6', '7: 3: source']] })).toBe('x');
});

test('values of a subgraph that fit no widget are refused', () => {
  expect(() => convertInstance({ widgets_values: ['a.safetensors', 'cat', 3, 255] })).toThrow(
    /Node 10: the values of the subgraph do not fit the widgets within it/,
  );
});

test('a prompt that an instance holds is sent as it is', () => {
  const prompts = {
    id: ID,
    inputs: [{ name: 'text', type: 'STRING', linkIds: [1] }],
    outputs: [],
    nodes: [
      {
        id: 5,
        type: 'CLIPTextEncode',
        inputs: [widgetSlot('text', 'STRING', 1)],
        outputs: [{ type: 'CONDITIONING' }],
        widgets_values: ['inner'],
      },
    ],
    links: [link(1, 0, 5, 0)],
  };
  const text = '{"color": "red"} // {a|b}';
  const node = { id: 10, type: ID, inputs: [], outputs: [], widgets_values: [text] };
  const converted = convert([node], [], { definitions: { subgraphs: [prompts] } });
  expect(converted['10:5']?.inputs).toEqual({ text });
});
