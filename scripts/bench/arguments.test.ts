import { expect, test } from '@jest/globals';
import { parseArguments } from './arguments.ts';
import { SCENARIOS } from './scenarios.ts';

test('without options every scenario runs on the built worker and the embedded ComfyUI', () => {
  expect(parseArguments([])).toEqual({
    worker: undefined,
    comfyUrl: undefined,
    comfyPort: 0,
    scenarios: SCENARIOS,
    jsonFile: undefined,
  });
});

test('scenarios are chosen by name and shortened', () => {
  const { scenarios } = parseArguments(['--only', 'soak,tiny', '--jobs', '3']);
  expect(scenarios.map(({ name, count }) => [name, count])).toEqual([
    ['soak', 3],
    ['tiny', 3],
  ]);
});

test('a slash at the end of the URL is removed', () => {
  expect(parseArguments(['--comfy', 'http://gpu:8188/']).comfyUrl).toBe('http://gpu:8188');
});

test.each([
  [['--only', 'huge'], /no scenario "huge"/],
  [['--jobs', '0'], /--jobs to be a whole number of at least 1, got "0"/],
  [['--jobs', 'many'], /got "many"/],
  [['--comfy-port', '-1'], /--comfy-port/],
  [['--unknown'], /--unknown/],
])('%j is refused with a reason', (args, reason) => {
  expect(() => parseArguments(args)).toThrow(reason);
});
