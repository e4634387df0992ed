import { expect, test } from '@jest/globals';
import { checkFence } from './fences.ts';
import { unknownVariablesIn } from './names.ts';
import { commandsOf } from './shell.ts';

const check = (info: string, code: string) => {
  const [language = '', ...kind] = info.split(' ');
  return checkFence({ document: 'a.md', line: 1, language, kind: kind.join(' '), code });
};

test.each([
  ['a b && c | d; e', ['a b', 'c', 'd', 'e']],
  ['a "b c" \'d e\' f\\ g # a remark', ['a b c d e f g']],
  ['A=1 B=2 c d >out 2>&1 <in', ['c d']],
  ['id=$(a b)\nc "$(d e)/f"', ['a b', 'd e', 'c …/f']],
  ['a \\\n  --b', ['a --b']],
  ['curl "http://x/?a=1&b=2" -d @file', ['curl http://x/?a=1&b=2 -d @file']],
])('the commands of %j are found', (script, commands) => {
  expect(commandsOf(script).map((words) => words.join(' '))).toEqual(commands);
});

test.each([
  ['sh', 'npm run nothing', 'there is no script nothing'],
  ['sh', 'npm start -- serve --simulated', 'unknown option --simulated'],
  ['sh', 'npm run bench -- --onli tiny', 'knows no --onli'],
  ['sh', 'npm test -- lib/none.test.ts', 'lib/none.test.ts does not exist'],
  ['sh', 'comfyui-worker sreve', 'no command sreve'],
  ['sh', 'comfyui-worker models pul', 'no command models pul'],
  ['sh', 'comfyui-worker --rp_serve', 'unknown flag --rp_serve'],
  ['sh', 'cp a b && unheard-of', 'no rule for this program'],
  ['sh', 'docker buildx bake flux9', 'has no target flux9'],
  ['sh', 'docker run you/comfyui-worker:latest-flux9', 'makes no image'],
  ['sh', 'docker run -e NO_SUCH_SETTING=1 image', 'unknown variable NO_SUCH_SETTING'],
  ['sh', 'docker compose -f none.yml up', 'none.yml does not exist'],
  ['sh', 'scripts/none', 'scripts/none does not exist'],
  ['sh', 'echo "open', 'unexpected EOF'],
  ['sh', '# only a remark', 'there is no command'],
  ['json', '{"a": 1,}', 'JSON'],
  ['yaml manifest', 'version: 1\nmodel: []', 'model'],
  ['ini', 'NO_SUCH_SETTING=1', 'unknown variable'],
  ['js', 'const = 1', 'SyntaxError'],
  ['dockerfile', 'FROM local/comfyui-worker:latest-none', 'no such image is made'],
  ['dockerfile', 'RUN comfyui-worker models pul', 'no command models pul'],
  ['python', 'print()', 'no rule for'],
  ['', 'x', 'no rule for'],
])('a mistake in a block of %s is found: %j', (info, code, problem) => {
  expect(check(info, code).join('\n')).toContain(problem);
});

test('a variable that does not exist is found, and a state of a job is none', () => {
  expect(unknownVariablesIn('`COMFY_ARG` and `COMFY_ARGS`, IN_QUEUE')).toEqual(['COMFY_ARG']);
});
