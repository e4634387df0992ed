import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { JsonText } from '../../json.ts';
import { listWorkflows, openWorkflow } from './named.ts';

const API = '{"3":{"class_type":"KSampler","inputs":{"seed":18446744073709551615}}}';
const never = new AbortController().signal;
let folder = '';

const PORTRAIT = `
import { z } from 'zod';
import { size } from './_sizes.ts';

export const title = 'Portrait';
export const description: string = 'One person';
export const input = z.object({
  prompt: z.string().min(1),
  seed: z.union([z.int(), z.bigint()]).default(0),
  count: z.int().min(1).max(4).default(1),
});

export async function workflow({ prompt, seed, count }: z.infer<typeof input>) {
  return { '6': { class_type: 'Text', inputs: { text: prompt, seed, count, size } } };
}
`;

const FILES = {
  'plain.json': `\uFEFF${API}`,
  'editor.json': '{"nodes":[],"links":[]}',
  'deep/er/one.json': API,
  'broken.json': '{',
  'neither.json': '{"a":1}',
  'portrait.ts': PORTRAIT,
  '_sizes.ts': 'export const size: number = 512;',
  'text.mjs': `export const workflow = () => '${API}';`,
  'empty.js': 'export const title = 7;',
  'failing.mjs': 'export function workflow() { throw new Error("no luck"); }',
  'nothing.mjs': 'export function workflow() {}',
  'slow.mjs': 'export const workflow = () => new Promise(() => {});',
  '.hidden.json': API,
  'readme.md': '# not a workflow',
};

beforeAll(async () => {
  const parent = await mkdtemp(join(tmpdir(), 'named-'));
  folder = join(parent, 'workflows');
  for (const [name, text] of Object.entries({ ...FILES, '../outside.json': API })) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
});

afterAll(() => rm(dirname(folder), { recursive: true, force: true }));

const open = async (name: string, params?: string) =>
  (
    await openWorkflow(
      folder,
      { name, ...(params ? { params: JsonText.parse(params) } : {}) },
      never,
    )
  ).text;

test.each([
  ['plain', API],
  ['editor', FILES['editor.json']],
  ['deep/er/one', API],
])('the JSON file of %s is returned unchanged', async (name, text) => {
  expect(await open(name)).toBe(text);
  expect(await open(name, '{}')).toBe(text);
});

test('a JSON file is read again for every job', async () => {
  await writeFile(join(folder, 'changing.json'), API);
  expect(await open('changing')).toBe(API);
  await writeFile(join(folder, 'changing.json'), API.replace('"3"', '"4"'));
  expect(await open('changing')).toContain('"4"');
  await rm(join(folder, 'changing.json'));
});

test.each([
  '../outside',
  'deep/../plain',
  '/etc/passwd',
  '..',
  '',
  '.hidden',
  './plain',
  'plain\0',
  'deep\\er\\one',
  '_sizes',
  'deep/er',
])('%j is refused as a name, and the error lists the names that exist', async (name) => {
  await expect(open(name)).rejects.toThrow(
    /There is no workflow called .*; there are: broken, deep\/er\/one, editor/,
  );
});

test.each([
  ['broken', /"broken" cannot be read: .*JSON/],
  ['neither', /"neither" is neither in API format nor what the editor saves/],
])('the file %s is reported as broken', async (name, message) => {
  await expect(open(name)).rejects.toThrow(message);
});

test('params for a JSON workflow are refused', async () => {
  await expect(open('plain', '{"a":1}')).rejects.toThrow(
    /takes no params; change its inputs with input.overrides/,
  );
});

test('a folder that does not exist has no workflows', async () => {
  expect(await listWorkflows(join(folder, 'nowhere'))).toEqual([]);
});

/** The calls of modules that the tests below look at, as expressions. */
const MODULE_CALLS = {
  seeds: `open('portrait', '{"prompt":"a cat","seed":18446744073709551615}')`,
  params: `open('portrait', '{"prompt":"","count":"two"}')`,
  broken: `Promise.all([open('text'), open('failing'), open('nothing'), open('empty'), open('slow', '{}', AbortSignal.abort(new Error('job ended')))])`,
  list: 'listWorkflows(folder)',
  changed: `(async () => {
    const write = (id) => writeFile(folder + '/fresh.mjs', 'export const workflow = () => ({ "' + id + '": "' + 'x'.repeat(id) + '" });');
    await write(1);
    const before = await open('fresh');
    await write(2);
    return [before, await open('fresh')];
  })()`,
};

/** Tests run on jest's module loader, modules on Node's own. So one Node process answers all calls, one after the other. */
const answers: Partial<Record<keyof typeof MODULE_CALLS, unknown>> = {};
beforeAll(async () => {
  const calls = Object.entries(MODULE_CALLS).map(
    ([name, call]) => `answers[${JSON.stringify(name)}] = await (${call});`,
  );
  const script = `
    import { writeFile } from 'node:fs/promises';
    import { JsonText } from ${JSON.stringify(new URL('../../json.ts', import.meta.url).href)};
    import { listWorkflows, openWorkflow } from ${JSON.stringify(new URL('named.ts', import.meta.url).href)};
    const folder = ${JSON.stringify(folder)};
    const never = new AbortController().signal;
    const open = async (name, params = '{}', signal = never) => {
      try {
        return (await openWorkflow(folder, { name, params: JsonText.parse(params) }, signal)).text;
      } catch (error) {
        return { code: error.code, message: error.message };
      }
    };
    const answers = {};
    ${calls.join('\n')}
    console.log(JSON.stringify(answers));
  `;
  const args = ['--input-type=module', '--eval', script];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args);
  expect(stderr).toBe('');
  Object.assign(answers, JSON.parse(stdout));
  await rm(join(folder, 'fresh.mjs'));
});

test('a TypeScript module outside of the project makes a workflow, and large seeds keep their digits', () => {
  expect(answers.seeds).toBe(
    '{"6":{"class_type":"Text","inputs":{"text":"a cat","seed":18446744073709551615,"count":1,"size":512}}}',
  );
});

test('invalid params are refused with a line per field', () => {
  expect(answers.params).toEqual({
    code: 'workflow.params_invalid',
    message: expect.stringMatching(
      /^Workflow "portrait" cannot use these params:\n• params\.prompt: .+\n• params\.count: .+number.+$/,
    ),
  });
});

test('a module that fails, returns nothing, or exports no workflow is reported as broken', () => {
  expect(answers.broken).toEqual([
    API,
    { code: 'workflow.broken', message: 'Workflow "failing" failed: no luck' },
    { code: 'workflow.broken', message: expect.stringMatching(/returned undefined, no workflow/) },
    {
      code: 'workflow.broken',
      message: expect.stringMatching(/export workflow must be a function, export title/),
    },
    { message: 'job ended' },
  ]);
});

test('a module is loaded again after its file has changed', () => {
  expect(answers.changed).toEqual(['{"1":"x"}', '{"2":"xx"}']);
});

test('all workflows are listed, with the schema of their params and with their problems', () => {
  const listed = answers.list as { name: string }[];
  expect(listed.map(({ name }) => name)).toEqual([
    'broken',
    'deep/er/one',
    'editor',
    'empty',
    'failing',
    'neither',
    'nothing',
    'plain',
    'portrait',
    'slow',
    'text',
  ]);
  expect(listed).toContainEqual({ name: 'plain' });
  expect(listed).toContainEqual({
    name: 'broken',
    problem: expect.stringContaining('cannot be read'),
  });
  expect(listed).toContainEqual({
    name: 'portrait',
    title: 'Portrait',
    description: 'One person',
    params: expect.objectContaining({
      type: 'object',
      required: ['prompt'],
      properties: expect.objectContaining({ prompt: { type: 'string', minLength: 1 } }),
    }),
  });
});
