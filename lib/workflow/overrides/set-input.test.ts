import { expect, test } from '@jest/globals';
import { JsonText } from '../../json.ts';
import { setInputs } from './set-input.ts';

const TEXT = `{
  "10": {"class_type": "KSampler", "inputs": {"seed": 1, "cfg": 1.0, "model": ["2", 0]}, "_meta": {"title": "Sample v1.5"}},
  "2": {"class_type": "Loader", "inputs": {"name": "a", "a.b": 0}},
  "3": {"class_type": "Text", "inputs": {"text": "x"}, "_meta": {"title": "Good"}},
  "4": {"class_type": "Text", "inputs": {"text": "y"}, "_meta": {"title": "Bad"}},
  "5": {"class_type": "Text", "inputs": {"text": "z"}, "_meta": {"title": "3"}}
}`;
const set = (...assignments: string[]) => setInputs(JsonText.parse(TEXT), assignments).text;

test.each([
  ['10.seed=18446744073709551615', '"seed": 1,', '"seed": 18446744073709551615,'],
  ['KSampler.cfg=7.0', '"cfg": 1.0', '"cfg": 7.0'],
  ['ksampler.cfg=7', '"cfg": 1.0', '"cfg": 7'],
  ['Sample v1.5.seed=2', '"seed": 1,', '"seed": 2,'],
  ['Loader.a.b=true', '"a.b": 0', '"a.b": true'],
  ['good.text=a "quoted" = sign', '"x"', '"a \\"quoted\\" = sign"'],
  ['Good.text="42"', '"x"', '"42"'],
  ['Good.text=', '"x"', '""'],
  ['Good.text=NaN', '"x"', '"NaN"'],
  ['KSampler.model=["9", 1]', '["2", 0]', '["9", 1]'],
  ['3.text=by id, although a title is 3', '"x"', '"by id, although a title is 3"'],
])('%s changes that one value and no other character', (assignment, before, after) => {
  expect(set(assignment)).toBe(TEXT.replace(before, after));
});

test('assignments are made one after the other, the last one wins', () => {
  expect(set('10.seed=5', 'Good.text=a', '10.seed=6')).toBe(
    TEXT.replace('"seed": 1,', '"seed": 6,').replace('"x"', '"a"'),
  );
});

test.each([
  [
    'Nobody.seed=1',
    /^No node is called "Nobody"; there are:\n {2}10 \(KSampler "Sample v1\.5"\)\n/,
  ],
  ['Text.text=1', /^3 nodes are called "Text".*:\n {2}3 \(Text "Good"\)\n {2}4 \(Text "Bad"\)/],
  ['KSampler.sede=1', /no input "sede"; it has: seed, cfg, model$/],
])('%s is refused with the names there are', (assignment, message) => {
  expect(() => set(assignment)).toThrow(message);
});

test.each(['seed=1', '10.seed', '.seed=1', '10.=1', ''])('%j is no assignment', (assignment) => {
  expect(() => set(assignment)).toThrow(/^Expected node\.input=value/);
});
