import { expect, test } from '@jest/globals';
import { splitCommandLine } from './command-line.ts';

test.each([
  ['python main.py --port 8188', ['python', 'main.py', '--port', '8188']],
  ['  a\tb\n c ', ['a', 'b', 'c']],
  [`'/my comfy/main.py' "two words" x\\ y`, ['/my comfy/main.py', 'two words', 'x y']],
  [`--a="b c"'d e'f`, ['--a=b cd ef']],
  [`"say \\"hi\\" \\n" '\\'`, ['say "hi" \\n', '\\']],
  [`'' ""`, ['', '']],
  ['$HOME *.py; rm -rf / | x', ['$HOME', '*.py;', 'rm', '-rf', '/', '|', 'x']],
  ['', []],
])('%j is split into words as a shell would, and nothing is expanded', (line, words) => {
  expect(splitCommandLine(line)).toEqual(words);
});

test.each([
  [`python 'main.py`, "has a quote ' that is not closed"],
  [`a "b`, 'has a quote " that is not closed'],
  ['a \\', 'ends with a backslash'],
])('%j is refused', (line, problem) => {
  expect(() => splitCommandLine(line)).toThrow(problem);
});
