import { expect, test } from '@jest/globals';
import { startNodeBench } from '../../testing/node-bench.ts';
import { nodeClasses } from '../registry.ts';
import { evaluate } from './expression.ts';

test.each([
  ['a + b * 2', 8],
  ['(a + b) / 2', 2.5],
  ['-a ** 2', -4],
  ['7 // a + 7 % -4', 2],
  ['round(2.5) + round(3.5)', 6],
  ['max(values) - min(a, b)', 1],
  ['sum(values) if a < b < 10 else 0', 5],
  ['not a or b == 3 and True', 1],
  ['a & ~1', 2],
  ['values[-1] * 1e2', 300],
  ['floor(a / 16) * 16', 0],
])('the expression %s is %d for a = 2 and b = 3', (expression, result) => {
  expect(evaluate(expression, { a: 2, b: 3 })).toBe(result);
});

test.each([
  ['a +', 'SyntaxError'],
  ['c', 'NameNotDefined'],
  ['a / 0', 'ZeroDivisionError'],
  ['constructor(a)', 'FunctionNotDefined'],
  ['values', 'ValueError'],
  ['a.b', 'SyntaxError'],
])('the expression %s fails with %s', (expression, name) => {
  expect(() => evaluate(expression, { a: 2 })).toThrow(expect.objectContaining({ name }));
});

async function outputsOf(name: string, inputs: object): Promise<readonly unknown[]> {
  await using bench = await startNodeBench();
  const context = { ...bench.host, nodeId: '1', prompt: undefined, extraPnginfo: undefined };
  const definition = nodeClasses('0.33.0').get(name)!;
  const { outputs = [] } = await definition.execute(
    { ...inputs },
    {
      ...context,
      progress: () => Promise.resolve(),
      work: () => Promise.resolve(),
      note: () => undefined,
    },
  );
  return outputs;
}

test.each([
  ['StringFormat', { f_string: '{a:05.1f}|{b!r}|{{}}', values: { a: 2, b: 'x' } }, "002.0|'x'|{}"],
  ['StringReplace', { string: 'a$b', find: '$', replace: '$&' }, 'a$&b'],
  ['RegexReplace', { string: 'ab', regex_pattern: '(?P<x>a)(b)', replace: '\\2\\g<x>' }, 'ba'],
  [
    'RegexExtract',
    { string: 'k=1, k=2', regex_pattern: 'k=(\\d)', mode: 'All Groups', group_index: 1 },
    '1\n2',
  ],
  ['JsonExtractString', { json_string: '{"a": 1.0}', key: 'a' }, '1.0'],
  ['CaseConverter', { string: 'a bC', mode: 'Title Case' }, 'A Bc'],
  [
    'StringCompare',
    { string_a: 'Abc', string_b: 'a', mode: 'Starts With', case_sensitive: false },
    true,
  ],
  ['ResolutionSelector', { aspect_ratio: '16:9 (Widescreen)', megapixels: 1, multiple: 8 }, 1368],
  ['CustomCombo', { choice: 'b', index: 1, option1: 'a' }, 'b'],
])('%s gives what ComfyUI gives', async (name, inputs, expected) => {
  expect((await outputsOf(name, inputs))[0]).toBe(expected);
});

test('a text becomes a number with all its digits', async () => {
  const [float, int] = await outputsOf('ComfyNumberConvert', { value: ' 9007199254740993 ' });
  expect(Number(float)).toBe(9007199254740992);
  expect(int).toBe(9007199254740993n);
});

test('a mask grows around a point, without corners if they are tapered', async () => {
  const frame = new Uint8Array(25);
  frame[12] = 255;
  const mask = { width: 5, height: 5, frames: [frame] };
  const count = async (tapered_corners: boolean) => {
    const [grown] = (await outputsOf('GrowMask', { mask, expand: 1, tapered_corners })) as [
      typeof mask,
    ];
    return grown.frames[0]!.filter((value) => value === 255).length;
  };
  expect(await count(true)).toBe(5);
  expect(await count(false)).toBe(9);
});

test('a saved image goes on to the next node', async () => {
  const images = { width: 2, height: 2, channels: 3, frames: [new Uint8Array(12)] };
  expect(await outputsOf('SaveImage', { images, filename_prefix: 'x' })).toEqual([images]);
});
