import { expect, test } from '@jest/globals';
import { JsonText } from '../json.ts';
import { applyOverrides, setInputs } from './overrides.ts';
import { recordedInfos, withClasses } from './test-infos.ts';

const TEXT = `{
  "10": {"class_type": "KSampler", "inputs": {"seed": 1, "cfg": 1.0, "model": ["2", 0]}, "_meta": {"title": "Sample v1.5"}},
  "2": {"class_type": "Loader", "inputs": {"name": "a", "noise_seed": 5}},
  "3": {"class_type": "Text", "inputs": {"text": "x"}, "_meta": {"title": "Positive Prompt"}},
  "4": {"class_type": "Text", "inputs": {"text": "y"}, "_meta": {"title": "Negative Prompt"}}
}`;
const apply = (overrides: string, infos = recordedInfos) =>
  applyOverrides(JsonText.parse(TEXT), JsonText.parse(overrides), infos);

test('inputs are set by id, title and class, values keep their text, and nothing else changes', () => {
  const { workflow, randomized } = apply(
    '{"Positive Prompt.text": "a \\u0063at", "KSampler.seed": 18446744073709551615, "10.cfg": 7.0, "10.model": ["2", 1]}',
  );
  expect(workflow.text).toBe(
    TEXT.replace('"x"', '"a \\u0063at"')
      .replace('"seed": 1,', '"seed": 18446744073709551615,')
      .replace('1.0', '7.0')
      .replace('["2", 0]', '["2", 1]'),
  );
  expect(randomized).toEqual({});
});

test('no overrides change nothing', () => {
  expect(apply('{}').workflow.text).toBe(TEXT);
});

test('a randomized seed is new each time and reported with all its digits', () => {
  const seeds = Array.from({ length: 20 }, () => {
    const { workflow, randomized } = apply('{"Sample v1.5.seed": "randomize"}');
    expect(workflow.text).toBe(TEXT.replace('"seed": 1,', `"seed": ${randomized['10.seed']},`));
    return BigInt(randomized['10.seed']!);
  });
  expect(new Set(seeds).size).toBe(20);
  expect(seeds.some((seed) => seed > 2n ** 60n)).toBe(true);
});

test('a randomized seed stays within the bounds of its class', () => {
  const infos = withClasses({
    Loader: { input: { required: { noise_seed: ['INT', { max: 3 }] } } },
  });
  for (let round = 0; round < 20; round++) {
    expect(
      Number(apply('{"2.noise_seed": "randomize"}', infos).randomized['2.noise_seed']),
    ).toBeLessThan(4);
  }
});

test('"randomize" is an ordinary text for an input that is not a seed', () => {
  expect(apply('{"3.text": "randomize"}').workflow.get('3')?.text).toContain('"randomize"');
});

test('all inputs that cannot be set are reported at once, with the names that exist', () => {
  const overrides = {
    'Nobody.text': 1,
    'Text.text': 'which?',
    '10.sede': 1,
    seed: 1,
    '10.model': 'sdxl',
    '10.seed': 1,
    'KSampler.seed': 2,
  };
  expect(() => apply(JSON.stringify(overrides))).toThrow(
    `No node is called "Nobody"; there are:
  10 (KSampler "Sample v1.5")
  2 (Loader)
  3 (Text "Positive Prompt")
  4 (Text "Negative Prompt")
2 nodes are called "Text"; use the id of one:
  3 (Text "Positive Prompt")
  4 (Text "Negative Prompt")
Node 10 (KSampler "Sample v1.5") has no input "sede"; it has: seed, cfg, model
Expected "node.input", got "seed"; for example "6.text"
model of node 10 (KSampler "Sample v1.5") comes from node 2; expected another link, ["node id", output number], got "sdxl"
seed of node 10 (KSampler "Sample v1.5") is set more than once`,
  );
});

const ASSIGNED = `{
  "10": {"class_type": "KSampler", "inputs": {"seed": 1, "cfg": 1.0, "model": ["2", 0]}, "_meta": {"title": "Sample v1.5"}},
  "2": {"class_type": "Loader", "inputs": {"name": "a", "a.b": 0}},
  "3": {"class_type": "Text", "inputs": {"text": "x"}, "_meta": {"title": "Good"}},
  "4": {"class_type": "Text", "inputs": {"text": "y"}, "_meta": {"title": "Bad"}},
  "5": {"class_type": "Text", "inputs": {"text": "z"}, "_meta": {"title": "3"}}
}`;
const set = (...assignments: string[]) => setInputs(JsonText.parse(ASSIGNED), assignments).text;

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
  expect(set(assignment)).toBe(ASSIGNED.replace(before, after));
});

test('assignments are made one after the other, the last one wins', () => {
  expect(set('10.seed=5', 'Good.text=a', '10.seed=6')).toBe(
    ASSIGNED.replace('"seed": 1,', '"seed": 6,').replace('"x"', '"a"'),
  );
});

test.each([
  [
    'Nobody.seed=1',
    /^No node is called "Nobody"; there are:\n {2}10 \(KSampler "Sample v1\.5"\)\n/,
  ],
  ['Text.text=1', /^3 nodes are called "Text".*:\n {2}3 \(Text "Good"\)\n {2}4 \(Text "Bad"\)/],
  ['KSampler.sede=1', /no input "sede"; it has: seed, cfg, model$/],
])('%s is refused with the names that exist', (assignment, message) => {
  expect(() => set(assignment)).toThrow(message);
});

test.each(['seed=1', '10.seed', '.seed=1', '10.=1', ''])(
  '%j is refused as an assignment',
  (assignment) => {
    expect(() => set(assignment)).toThrow(/^Expected node\.input=value/);
  },
);
