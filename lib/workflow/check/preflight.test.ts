import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { JsonText } from '../../json.ts';
import { preflight } from './preflight.ts';
import { recordedInfos, withClasses } from '../test-infos.ts';

const RESOURCES = new URL('../../../test_resources/', import.meta.url);
const look = (
  workflow: unknown,
  infos = recordedInfos,
  options: Parameters<typeof preflight>[2] = {},
) => preflight(JsonText.of(workflow), infos, options);

/** `node type input` of every complaint. */
function complaints(nodeErrors: JsonText): string[] {
  return nodeErrors.entries().flatMap(([nodeId, entry]) =>
    (entry.get('errors')?.items() ?? []).map((error) => {
      const name = error.get('extra_info')?.get('input_name')?.value();
      return [nodeId, error.get('type')?.value(), name]
        .filter((part) => typeof part === 'string')
        .join(' ');
    }),
  );
}

const image = (values: object = {}) => ({
  class_type: 'EmptyImage',
  inputs: { width: 8, height: 8, batch_size: 1, color: 0, ...values },
});
const save = (from: string, values: object = {}) => ({
  class_type: 'SaveImage',
  inputs: { images: [from, 0], filename_prefix: 'x', ...values },
});

interface Recorded {
  readonly path: string;
  readonly status: number;
  readonly request: { readonly prompt?: object };
  readonly response: { readonly error?: { type: string }; readonly node_errors?: object };
}

const recordings = readFileSync(
  new URL('transcripts/comfyui-0.8.0/validation_errors.jsonl', RESOURCES),
  'utf8',
)
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Recorded)
  .filter(({ request }) => typeof request === 'object' && request.prompt !== undefined);

/** Without LoadImage: its missing files are left to ComfyUI, because the job may be sending them. */
const recordedRefusals = recordings.filter(
  ({ status, request }) => status !== 200 && !JSON.stringify(request).includes('LoadImage'),
);

test.each(
  recordedRefusals.map((recorded) => [JSON.stringify(recorded.request.prompt), recorded] as const),
)('everything that a real ComfyUI refused is found: %s', (_, { request, response }) => {
  const { nodeErrors, isRefused, lacksOutput } = look(request.prompt, recordedInfos, {
    strict: true,
  });
  const recorded = complaints(JsonText.of(response.node_errors ?? {}));
  expect(complaints(nodeErrors)).toEqual(expect.arrayContaining(recorded));
  expect(isRefused || recorded.join().includes('return_type_mismatch')).toBe(true);
  expect(lacksOutput || nodeErrors.entries().length > 0).toBe(true);
});

test.each(recordings.filter(({ status }) => status === 200))(
  'a workflow that a real ComfyUI accepted passes: %j',
  ({ request }) => {
    expect(look(request.prompt)).toMatchObject({ isRefused: false });
  },
);

test('a missing input file is left to ComfyUI, which looks at the folder itself', () => {
  const { nodeErrors, isRefused } = look({
    '1': { class_type: 'LoadImage', inputs: { image: 'missing.png' } },
    '2': save('1'),
  });
  expect(isRefused).toBe(false);
  expect(nodeErrors.text).toBe('{}');
});

test('all problems are reported at once, each with its node', () => {
  const { nodeErrors, isRefused } = look(
    {
      '1': image({ width: -5, height: 'tall' }),
      '2': { class_type: 'KSamplr', inputs: { image: ['1', 0], model: ['4', 0] } },
      '3': save('2', { filename_prefix: undefined }),
      '4': { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'sdxl.safetensors' } },
      '5': { class_type: 'Nowhere', inputs: {} },
      '6': { inputs: {} },
      '7': save('77'),
    },
    recordedInfos,
    { classNames: ['KSampler', 'SaveImage'] },
  );
  expect(isRefused).toBe(true);
  expect(complaints(nodeErrors)).toEqual([
    '1 value_smaller_than_min width',
    '1 invalid_input_type height',
    '2 missing_node_type',
    '3 required_input_missing filename_prefix',
    '4 value_not_in_list ckpt_name',
    '5 missing_node_type',
    '6 missing_node_type',
    '7 exception_during_validation',
  ]);
  expect(nodeErrors.get('2')?.text).toContain('"similar":["KSampler"]');
});

test.each([
  ['an undeclared link to a missing node', { '1': image({ bogus: ['999', 0] }), '2': save('1') }],
  [
    'the same further up, behind an undeclared link',
    { '1': image({ bogus: ['3', 0] }), '2': save('1'), '3': image({ bogus: ['999', 1] }) },
  ],
  [
    'a node without inputs that no output needs',
    { '1': image(), '2': save('1'), '3': { class_type: 'SaveImage' } },
  ],
  [
    'inputs that are not an object',
    { '1': image(), '2': save('1'), '3': { class_type: 'VAEDecode', inputs: [] } },
  ],
])('a workflow that would crash the executor is refused: %s', (_, workflow) => {
  const { isRefused, nodeErrors } = look(workflow);
  expect(isRefused).toBe(true);
  expect(complaints(nodeErrors).join()).toContain('exception_during_validation');
});

test.each([
  [
    'an undeclared link to a missing node, in a node that no output needs',
    { '1': image(), '2': save('1'), '3': image({ bogus: ['9', 0] }) },
  ],
  [
    'an undeclared input that is not a link',
    { '1': image({ bogus: ['999', 0, 1], more: ['a', 'b'] }), '2': save('1') },
  ],
  ['one good output beside a bad one', { '1': image(), '2': save('1'), '3': save('99') }],
  [
    'any problem in a node that no output needs',
    { '1': image(), '2': save('1'), '3': image({ width: 'wide' }) },
  ],
  ['numbers as text', { '1': image({ width: ' 64 ', height: 64.9, color: true }), '2': save('1') }],
  [
    'the largest seed',
    { '1': { class_type: 'KSampler', inputs: {} }, '2': save('3'), '3': image() },
  ],
  ['a value in __value__', { '1': image({ width: { __value__: 64 } }), '2': save('1') }],
])('a workflow that ComfyUI accepts is never refused: %s', (_, workflow) => {
  expect(look(workflow)).toMatchObject({ isRefused: false });
});

const customClass = (input: object, extra: object = {}) => ({
  input,
  output: ['IMAGE'],
  output_node: true,
  python_module: 'custom_nodes.some',
  ...extra,
});

test.each([
  ['a value beyond its bounds', { width: ['INT', { max: 10 }] }, { width: 11 }],
  ['a choice that is not listed', { file: [['a.pth'], {}] }, { file: 'b.pth' }],
  [
    'a choice that is listed elsewhere',
    { file: ['COMBO', { remote: { route: '/x' } }] },
    { file: 'b.pth' },
  ],
  ['an output that is not declared', { image: ['IMAGE'] }, { image: ['1', 5] }],
  ['a type that does not fit', { image: ['MASK'] }, { image: ['1', 0] }],
  ['an unknown type', { thing: ['THING'] }, { thing: { any: 1 } }],
  ['an input whose names depend on values', { images: ['COMFY_AUTOGROW_V3', {}] }, {}],
])('%s is left to the class of a custom node', (_, required, inputs) => {
  const infos = withClasses({ Custom: customClass({ required }) });
  const workflow = { '1': image(), '2': { class_type: 'Custom', inputs } };
  expect(look(workflow, infos).isRefused).toBe(false);
});

test('a problem that only ComfyUI can judge is not reported beside a certain one, unless the job is strict', () => {
  const infos = withClasses({ Custom: customClass({ required: { steps: ['INT', { max: 10 }] } }) });
  const workflow = {
    '1': image({ width: 'wide' }),
    '2': { class_type: 'Custom', inputs: { steps: 11 } },
    '3': save('1'),
    '4': { class_type: 'Nope', inputs: { image: ['2', 0] } },
  };
  expect(complaints(look(workflow, infos).nodeErrors)).toEqual([
    '1 invalid_input_type width',
    '4 missing_node_type',
  ]);
  expect(complaints(look(workflow, infos, { strict: true }).nodeErrors)).toContain(
    '2 value_bigger_than_max steps',
  );
});

test('a workflow without an output node is refused', () => {
  expect(look({ '1': image() })).toMatchObject({ lacksOutput: true, isRefused: true });
});

test('a cycle is reported with the nodes along it', () => {
  const invert = (from: string) => ({ class_type: 'ImageInvert', inputs: { image: [from, 0] } });
  const { nodeErrors, isRefused } = look({ '1': invert('2'), '2': invert('1'), '3': save('1') });
  expect(isRefused).toBe(true);
  expect(nodeErrors.text).toContain('"cycle_nodes":["1","2","1"]');
});

test('a chain of 20000 nodes is checked without a stack overflow', () => {
  const chain = Array.from({ length: 20_000 }, (_, at) => [
    String(at + 1),
    { class_type: 'ImageInvert', inputs: { image: [String(at), 0] } },
  ]);
  const workflow = { ...Object.fromEntries(chain), '0': image(), last: save('20000') } as object;
  expect(look(workflow)).toMatchObject({ isRefused: false });
});

test('numbers are reported with all their digits', () => {
  const text = `{"1":{"class_type":"EmptyImage","inputs":{"width":18446744073709551617,"height":8,"batch_size":1,"color":0}},"2":${JSON.stringify(save('1'))}}`;
  expect(preflight(JsonText.parse(text), recordedInfos).nodeErrors.text).toContain(
    '"received_value":18446744073709551617',
  );
});

test('all example workflows pass', () => {
  const folder = new URL('workflows/', RESOURCES);
  for (const name of readdirSync(folder)) {
    const file = JsonText.parse(readFileSync(new URL(name, folder), 'utf8'));
    const workflow = file.get('input')?.get('workflow') ?? file;
    const known = workflow
      .entries()
      .every(([, node]) => recordedInfos.has(node.get('class_type')?.value() as string));
    const { nodeErrors } = preflight(workflow, recordedInfos);
    const missing = complaints(nodeErrors).filter(
      (line) => !/value_not_in_list|missing_node_type/.test(line),
    );
    expect([name, known ? missing : []]).toEqual([name, []]);
  }
});

test('a class that a simulation lacks is marked, because a real ComfyUI may have it', () => {
  const workflow = { 1: image(), 2: { class_type: 'Nope', inputs: { image: ['1', 0] } } };
  const mark = (simulated: boolean) =>
    look(workflow, recordedInfos, { simulated }).nodeErrors.text.includes('"simulated":true');
  expect([mark(false), mark(true)]).toEqual([false, true]);
});
