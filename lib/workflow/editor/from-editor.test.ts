import { expect, test } from '@jest/globals';
import { JsonText } from '../../json.ts';
import { preflight } from '../check/preflight.ts';
import { convert, image, invert, save, slot, widgetSlot } from './test-editor.ts';
import { recordedInfos, withClasses } from '../test-infos.ts';

test('a plain workflow becomes the same as the menu exports, titles included', () => {
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

test('links as objects, ids as texts and native reroutes are read like their other forms', () => {
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

test('a primitive node gives its value, even through a reroute', () => {
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

test('a primitive node gives nothing to an input without a widget, as in the editor', () => {
  const infos = withClasses({
    Frame: { input: { required: { frame: ['INT', { forceInput: true }] } }, output: ['IMAGE'] },
  });
  const nodes = [
    { id: 5, type: 'PrimitiveNode', widgets_values: [99, 'fixed'], outputs: [{ type: 'INT' }] },
    { id: 1, type: 'Frame', inputs: [widgetSlot('frame', 'INT', 1), widgetSlot('old', 'INT', 2)] },
  ];
  const links = [
    [1, 5, 0, 1, 0, 'INT'],
    [2, 5, 0, 1, 1, 'INT'],
  ];
  expect(convert(nodes, links, {}, infos)['1']?.inputs).toEqual({});
});

test('reroutes and Set/Get nodes are bridged, notes are dropped', () => {
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

test('a muted node and its links are left out', () => {
  const nodes = [image(1), invert(2, 1, { mode: 2 }), save(3, 2)];
  const converted = convert(nodes, [
    [1, 1, 0, 2, 0, 'IMAGE'],
    [2, 2, 0, 3, 0, 'IMAGE'],
  ]);
  expect(Object.keys(converted)).toEqual(['1', '3']);
  expect(converted['3']?.inputs).toEqual({ filename_prefix: 'x' });
});

test('a bypassed node passes on the input of the wanted type', () => {
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

test('a bypassed loader and its links are left out', () => {
  const converted = convert([image(1, { mode: 4 }), save(3, 1)], [[1, 1, 0, 3, 0, 'IMAGE']]);
  expect(converted).toEqual({ '3': expect.objectContaining({ inputs: { filename_prefix: 'x' } }) });
});

test('the error names all classes that are not installed, and all group nodes', () => {
  const nodes = [
    { id: 1, type: 'Foo', outputs: [{ type: 'IMAGE' }] },
    { id: 2, type: 'Foo', outputs: [{ type: 'IMAGE' }] },
    { id: 3, type: 'workflow>mine', outputs: [{ type: 'IMAGE' }] },
    { id: 4, type: 'Bar', mode: 2 },
  ];
  expect(() => convert(nodes)).toThrow(
    /• Nodes 1, 2: the class "Foo" is not installed\n• Node 3: "workflow>mine" is a group node.*\n.*Workflow > Export \(API\)/,
  );
});

test('a group node whose definition is lost is refused, also without any slots', () => {
  const lost = { id: 4, type: 'workflow>mine', inputs: [], outputs: [] };
  expect(() => convert([image(1), lost])).toThrow(/Node 4: "workflow>mine" is a group node/);
});

test('a note of a node pack that is not installed does not fail the file', () => {
  const note = {
    type: 'FancyNote',
    properties: { text: 'remember' },
    widgets_values: ['remember'],
  };
  const nodes = [image(1), save(3, 1), { id: 4, ...note, inputs: [], outputs: [] }];
  const converted = convert(nodes, [[1, 1, 0, 3, 0, 'IMAGE']]);
  expect(Object.keys(converted)).toEqual(['1', '3']);
});

test('an unlinked node of a class that is not installed is refused if it once belonged to ComfyUI', () => {
  const properties = { 'Node name for S&R': 'WriteEverything' };
  const node = { id: 4, type: 'WriteEverything', inputs: [], outputs: [], properties };
  expect(() => convert([image(1), node])).toThrow(/"WriteEverything" is not installed/);
});

test('the table of links decides, not the link that a slot names', () => {
  const nodes = [image(1), image(2), save(3, 1), save(4, null)];
  const converted = convert(nodes, [[1, 2, 0, 4, 0, 'IMAGE']]);
  expect(converted['3']?.inputs).toEqual({ filename_prefix: 'x' });
  expect(converted['4']?.inputs.images).toEqual(['2', 0]);
});

test('an input without a link gets the one that cg-use-everywhere lists', () => {
  const broadcast = (downstream: number) => ({
    downstream,
    downstream_slot: 0,
    upstream: '1',
    upstream_slot: 0,
    controller: 9,
    type: 'IMAGE',
  });
  const extra = { ue_links: [broadcast(3), broadcast(4)] };
  const everywhere = {
    id: 9,
    type: 'Anything Everywhere',
    inputs: [slot('anything', '*', 2)],
    outputs: [],
  };
  const nodes = [image(1), image(2), save(3, null), save(4, 1), everywhere];
  const links = [
    [1, 2, 0, 4, 0, 'IMAGE'],
    [2, 1, 0, 9, 0, 'IMAGE'],
  ];
  const converted = convert(nodes, links, { extra });
  expect(Object.keys(converted)).toEqual(['1', '2', '3', '4']); // the pack is not installed
  expect(converted['3']?.inputs.images).toEqual(['1', 0]);
  expect(converted['4']?.inputs.images).toEqual(['2', 0]);
});

test('thousands of nodes behind one chain of thousands of reroutes do not take minutes', () => {
  const count = 6000;
  const reroutes = Array.from({ length: count }, (_, at) => ({
    id: at + 1,
    type: 'Reroute',
    inputs: [slot('', '*', at)],
    outputs: [{ type: 'IMAGE' }],
  }));
  const savers = Array.from({ length: count }, (_, at) => save(10_000 + at, 10_000 + at));
  const links = [
    ...reroutes.map(({ id }) => [id - 1, id - 1, 0, id, 0, '*']),
    ...savers.map(({ id }) => [id, count, 0, id, 0, 'IMAGE']),
  ];
  const converted = convert([image(0), ...reroutes, ...savers], links);
  expect(Object.keys(converted)).toHaveLength(1 + count);
  expect(Object.values(converted).at(-1)?.inputs.images).toEqual(['0', 0]);
});

test('links that form a circle are refused', () => {
  const reroutes = [
    { id: 1, type: 'Reroute', inputs: [slot('', '*', 2)], outputs: [] },
    { id: 2, type: 'Reroute', inputs: [slot('', '*', 1)], outputs: [] },
    save(3, 3),
  ];
  const links = [
    [1, 1, 0, 2, 0, '*'],
    [2, 2, 0, 1, 0, '*'],
    [3, 1, 0, 3, 0, '*'],
  ];
  expect(() => convert(reroutes, links)).toThrow(/Node \d \(Reroute\) is linked to itself/);
});
