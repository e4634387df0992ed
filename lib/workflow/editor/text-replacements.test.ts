import { expect, test } from '@jest/globals';
import { convert, image, save, type Node } from './test-editor.ts';
import { withClasses } from '../test-infos.ts';

const LINKS = [[1, 1, 0, 3, 0, 'IMAGE']];
const prefixOf = (prefix: string, nodes: readonly Node[] = [image(1)]) =>
  convert([...nodes, save(3, 1, { widgets_values: [prefix] })], LINKS)['3']?.inputs.filename_prefix;

test.each([
  ['%Canvas.width%', '64', 'a title'],
  ['%EmptyImage.height%', '32', 'a class'],
  ['%Canvas.width%x%Canvas.height%', '64x32', 'two values'],
  ['%Nobody.width%', '%Nobody.width%', 'a node that does not exist'],
  ['%Canvas.depth%', '%Canvas.depth%', 'a widget that does not exist'],
  ['%width%_%year%', '%width%_%year%', "ComfyUI's own words"],
  ['100%', '100%', 'a lone percent sign'],
])('the file name %s becomes %s: %s', (prefix, expected) => {
  expect(prefixOf(prefix, [image(1, { title: 'Canvas' })])).toBe(expected);
});

test('a name for search and replace goes before a title', () => {
  const named = image(1, { properties: { 'Node name for S&R': 'Canvas' } });
  const titled = image(2, { title: 'Canvas', widgets_values: [8, 8, 1, 0] });
  expect(prefixOf('%Canvas.width%', [titled, named])).toBe('64');
});

test('a primitive node gives its value, and characters that are not allowed in file names are replaced', () => {
  const primitive = {
    id: 7,
    type: 'PrimitiveNode',
    title: 'Folder',
    outputs: [{ type: 'STRING' }],
    widgets_values: ['a/b:c', 'fixed'],
  };
  expect(prefixOf('%Folder.value%/x', [image(1), primitive])).toBe('a_b_c/x');
});

test('a date is written in the given format', () => {
  expect(prefixOf('%date:yyyy-MM-dd%')).toMatch(/^20\d\d-[01]\d-[0-3]\d$/);
  expect(prefixOf('%date:hhmmss%')).toMatch(/^\d{6}$/);
});

test('only savers that are known to do so have their names replaced', () => {
  const infos = withClasses({
    VHS_VideoCombine: { input: { required: { filename_prefix: ['STRING', {}] } }, output: [] },
    MySaver: { input: { required: { filename_prefix: ['STRING', {}] } }, output: [] },
  });
  const saver = { id: 3, type: 'MySaver', outputs: [], widgets_values: ['%EmptyImage.width%'] };
  const video = { ...saver, id: 4, type: 'VHS_VideoCombine' };
  const converted = convert([image(1), saver, video], [], {}, infos);
  expect(converted['4']?.inputs.filename_prefix).toBe('64');
  expect(converted['3']?.inputs.filename_prefix).toBe('%EmptyImage.width%');
});
